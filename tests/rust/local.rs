//! A Bedrock of one's own for each test.

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider, Token},
};
use bedrock_gateway::{
    Gateway, Signer,
    config::{Config as GatewayConfig, Flags},
};
use bedrock_sim::{Simulator, http};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tower_bedrock_service::{BedrockService, Builder};

pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";

pub(crate) const KEY: (&str, &str) = (
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
);

pub(crate) const BEARER_TOKEN: &str = "canary-bearer-token";

/// A simulator that checks signatures, and a gateway before it where asked for. Both are gone with it.
pub(crate) struct Local {
    pub(crate) simulator: Simulator,
    url: String,
    /// Dropping it stops the servers.
    servers: JoinSet<()>,
}

impl Local {
    /// Both ways to a simulator of its own each: straight, and through a gateway.
    pub(crate) async fn both() -> [Self; 2] {
        [Self::direct().await, Self::behind_gateway().await]
    }

    pub(crate) async fn direct() -> Self {
        let credentials = format!(
            "[credentials]\naccess_keys = [{{ access_key_id = {:?}, secret_access_key = {:?} }}]\nbearer_tokens = [{BEARER_TOKEN:?}]",
            KEY.0, KEY.1
        );
        let config = bedrock_sim::Config::from_toml(&credentials).unwrap();
        let simulator = Simulator::new(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut servers = JoinSet::new();
        let served = http::serve(listener, simulator.clone(), std::future::pending::<()>());
        servers.spawn(async { served.await.unwrap() });

        let local = Self {
            simulator,
            url,
            servers,
        };
        local.set_model(json!({
            "tokens_per_minute": null, "requests_per_minute": null,
            "output_tokens": 20, "tokens_per_delta": 1,
            "time_to_first_token_ms": 0, "tokens_per_second": 1e6,
        }));
        local
    }

    pub(crate) async fn behind_gateway() -> Self {
        let mut local = Self::direct().await;
        let flags = Flags {
            listen: Some("127.0.0.1:0".to_owned()),
            upstream: Some(local.url.clone()),
            ..Flags::default()
        };
        // One attempt a call and no breaker: a test is to see what came of each.
        let policies = "[retry]\nenabled = false\n[breaker]\nenabled = false";
        let config = GatewayConfig::parse(policies, &flags).unwrap();
        let signer = Signer::sigv4(SharedCredentialsProvider::new(credentials()));
        let gateway = Gateway::bind_as(config, signer).await.unwrap();
        local.url = format!("http://{}", gateway.address());
        local
            .servers
            .spawn(async { gateway.run(std::future::pending()).await.unwrap() });
        local
    }

    /// Sets the model up, as `PUT /_sim/models/{id}` does.
    pub(crate) fn set_model(&self, settings: Value) {
        let settings = serde_json::from_value(settings).unwrap();
        self.simulator
            .set_model(&MODEL.parse().unwrap(), None, &settings)
            .unwrap();
    }

    /// Adds a fault, as `POST /_sim/faults` does.
    pub(crate) fn fault(&self, fault: Value) {
        let fault = serde_json::from_value(fault).unwrap();
        self.simulator.add_fault(fault).unwrap();
    }

    /// The leaf, pointed here.
    pub(crate) fn bedrock(&self) -> BedrockService {
        self.bedrock_with(BedrockService::builder())
    }

    pub(crate) fn bedrock_with(&self, builder: Builder) -> BedrockService {
        self.bedrock_as(credentials(), builder)
    }

    pub(crate) fn bedrock_with_secret(&self, secret: &str) -> BedrockService {
        let credentials = Credentials::new(KEY.0, secret, None, None, "tests");
        self.bedrock_as(credentials, BedrockService::builder())
    }

    /// The leaf, with a bearer token in place of a key.
    pub(crate) fn bedrock_with_token(&self) -> BedrockService {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.url)
            .bearer_token(Token::new(BEARER_TOKEN, None))
            .build();
        let client = Client::from_conf(config);
        BedrockService::builder()
            .build_from_client(&client)
            .unwrap()
    }

    fn bedrock_as(&self, credentials: Credentials, builder: Builder) -> BedrockService {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.url)
            .credentials_provider(credentials)
            .build();
        let client = Client::from_conf(config);
        builder.build_from_client(&client).unwrap()
    }
}

fn credentials() -> Credentials {
    Credentials::new(KEY.0, KEY.1, None, None, "tests")
}
