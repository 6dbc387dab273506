//! The command line.

use std::{env, fs, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use tower_bedrock::config::FleetConfig;
use tower_bedrock_core::Region;

use crate::{
    batch::BatchArgs,
    config::{Config, Flags, InvalidConfig, UpstreamKind},
    logging::LogFormat,
    tls,
};

/// Holds the password of the store through which a fleet shares its quotas.
const FLEET_PASSWORD: &str = "BEDROCK_GATEWAY_FLEET_PASSWORD";

/// Amazon Bedrock's runtime API, served through tower-bedrock's layers: point any AWS SDK's endpoint URL at it.
#[derive(Clone, Debug, Parser)]
#[command(name = "bedrock-gateway", version)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, value_name = "FILE.toml", global = true)]
    pub config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub listen: Option<String>,
    /// What answers: an embedded simulator, Amazon Bedrock, or whatever is at a URL [default: sim].
    #[arg(long, value_name = "sim|aws|URL", global = true)]
    pub upstream: Option<String>,
    /// How log events are written, on standard error. RUST_LOG says which.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true
    )]
    pub log_format: LogFormat,
    /// What to do, if not to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do, if not to serve.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Checks the configuration and does nothing else.
    Check,
    /// Runs a file of records, in the form of Bedrock's batch inference, through the policies of the configuration.
    ///
    /// Killed at any moment and started again, it goes on where it was.
    Batch(BatchArgs),
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says what cannot be.
    #[error("{}: {source}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        source: InvalidConfig,
    },
    /// The flags say what cannot be.
    #[error(transparent)]
    InvalidFlags(InvalidConfig),
}

impl Cli {
    /// The configuration: the file's, the flags going before it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, the key, its value and what is accepted.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let flags = Flags {
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            aws_region: ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .into_iter()
                .find_map(|name| env::var(name).ok().filter(|region| !region.is_empty())),
            fleet_password: env::var(FLEET_PASSWORD)
                .ok()
                .filter(|password| !password.is_empty()),
        };
        let Some(path) = &self.config else {
            return Config::parse("", &flags).map_err(ConfigError::InvalidFlags);
        };
        let path = path.clone();
        match fs::read_to_string(&path) {
            Ok(text) => Config::parse(&text, &flags)
                .and_then(|config| {
                    config.tls.as_ref().map(tls::load).transpose()?;
                    let fleet = config.fleet.as_ref().map(FleetConfig::build);
                    fleet.transpose().map_err(InvalidConfig::of_stack)?;
                    Ok(config)
                })
                .map_err(|source| ConfigError::InvalidFile { path, source }),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }
}

/// What is printed once the gateway serves: a call to paste.
#[must_use]
pub fn ready_message(config: &Config, address: SocketAddr, sim: Option<SocketAddr>) -> String {
    let upstream = match (&config.upstream.kind, sim) {
        (UpstreamKind::Aws, _) => format!("Amazon Bedrock ({})", config.upstream.regions),
        (UpstreamKind::Endpoint(scheme, authority), _) => format!("{scheme}://{authority}"),
        (UpstreamKind::Sim(address), bound) => format!(
            "the embedded simulator on {}.\n\
             ANSWERS ARE SIMULATED. For Amazon Bedrock, start with --upstream aws",
            bound.unwrap_or(*address)
        ),
    };
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let header = if config.clients.is_empty() {
        ""
    } else {
        " -H \"authorization: Bearer $KEY\""
    };
    let boto3 = if config.clients.is_empty() {
        boto3_call(scheme, address, config.upstream.regions.default())
    } else if config.tls.is_some() {
        "SDKs send the key that AWS_BEARER_TOKEN_BEDROCK holds. A certificate that they do not know goes into \
         AWS_CA_BUNDLE."
            .to_owned()
    } else {
        // boto3 refuses to send a token in the clear.
        "SDKs send the key that AWS_BEARER_TOKEN_BEDROCK holds, and only to an https:// endpoint: set [tls], or \
         have TLS terminated in front."
            .to_owned()
    };
    format!(
        r#"bedrock-gateway is ready on {scheme}://{address}
Calls go to {upstream}.

Try it:

  curl -s {scheme}://{address}/model/amazon.nova-lite-v1%3A0/converse{header} \
    -H 'content-type: application/json' \
    -d '{{"messages": [{{"role": "user", "content": [{{"text": "Hello."}}]}}]}}'

{boto3}
"#
    )
}

fn boto3_call(scheme: &str, address: SocketAddr, region: &Region) -> String {
    format!(
        r#"or, with boto3:

  import boto3
  # boto3 insists on credentials. The gateway does not look at them.
  keys = dict(aws_access_key_id="unused", aws_secret_access_key="unused")
  bedrock = boto3.client("bedrock-runtime", endpoint_url="{scheme}://{address}", region_name="{region}", **keys)
  messages = [{{"role": "user", "content": [{{"text": "Hello."}}]}}]
  for event in bedrock.converse_stream(modelId="amazon.nova-lite-v1:0", messages=messages)["stream"]:
      print(event)
"#
    )
}
