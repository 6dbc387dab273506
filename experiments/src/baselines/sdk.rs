//! The AWS SDK for Rust itself, its retries included, in simulated time: only its HTTP client is replaced,
//! by one that hands requests to the simulator.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents,
        StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition},
    },
    error::ProvideErrorMetadata,
    operation::converse::ConverseError,
    types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
};
use aws_smithy_async::{rt::sleep::TokioSleep, time::TimeSource};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_types::retry::RetrySpec;
use bedrock_sim::Simulator;
use tokio::time::{Duration, Instant};
use tower::{service_fn, util::BoxCloneService};
use tower_bedrock::{ErrorResponse, FaultKind, Target};

use super::wire::{Sizes, Wire};
use crate::job::{Job, Subject};

/// How the SDK retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retries {
    /// Its standard mode, as it has been for years: three attempts, a retry quota of 500.
    Standard,
    /// Its standard mode as of 2026 ("retry behaviour 2.1"): 50 ms in place of a second after faults that
    /// are no throttles, and retries of those cost 14 in place of 10.
    Standard2026,
    /// Its adaptive mode: the standard mode with a rate limiter that learns from throttles.
    Adaptive,
}

impl Retries {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "AWS SDK, standard",
            Self::Standard2026 => "AWS SDK, standard of 2026",
            Self::Adaptive => "AWS SDK, adaptive",
        }
    }

    fn config(self) -> RetryConfig {
        match self {
            Self::Standard => RetryConfig::standard(),
            Self::Standard2026 => RetryConfig::standard().with_retry_spec(RetrySpec::v2_1()),
            Self::Adaptive => RetryConfig::adaptive(),
        }
    }
}

/// A client that calls Bedrock through the SDK. Its retry quota and its rate limiter are its own, as in a
/// process of its own.
///
/// # Errors
///
/// None, with the settings there are.
pub fn client(simulator: &Simulator, target: &Target, retries: Retries) -> Result<Subject> {
    // The SDK keeps the state of its retries in statics, by partition. No run may find another's.
    static PROCESSES: AtomicU64 = AtomicU64::new(0);
    let process = PROCESSES.fetch_add(1, Ordering::Relaxed);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(target.region().as_str().to_owned()))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "experiment",
        ))
        .http_client(Wire::new(simulator.clone()))
        .sleep_impl(TokioSleep::new())
        .time_source(SimulatedTime(Instant::now()))
        // It judges the speed of a network, and here is none.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_partition(RetryPartition::new(format!("experiment-{process}")))
        .retry_config(retries.config())
        .build();
    let client = Client::from_conf(config);
    let model: Arc<str> = target.model().as_str().into();
    Ok(BoxCloneService::new(service_fn(move |job: Job| {
        let (client, model) = (client.clone(), Arc::clone(&model));
        async move { converse(&client, &model, &job).await }
    })))
}

async fn converse(client: &Client, model: &str, job: &Job) -> Result<(), FaultKind> {
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(Sizes::of(job).to_string()))
        .build()
        .map_err(|_| FaultKind::Validation)?;
    let most = i32::try_from(job.max_output_tokens).unwrap_or(i32::MAX);
    client
        .converse()
        .model_id(model)
        .messages(message)
        .inference_config(InferenceConfiguration::builder().max_tokens(most).build())
        .send()
        .await
        .map(|_| ())
        .map_err(|error| fault(&error))
}

fn fault(error: &aws_sdk_bedrockruntime::error::SdkError<ConverseError>) -> FaultKind {
    match error.raw_response() {
        Some(response) => {
            let answer = ErrorResponse {
                status: Some(response.status().as_u16()),
                exception: error.code(),
                message: error.message().unwrap_or_default(),
                retry_after: None,
            };
            answer.classify().kind()
        }
        None => FaultKind::Transport,
    }
}

/// Simulated time as the SDK wants it told: so long after some day.
#[derive(Debug)]
struct SimulatedTime(Instant);

impl TimeSource for SimulatedTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.0.elapsed()
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
