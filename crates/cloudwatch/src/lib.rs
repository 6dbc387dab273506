//! Metrics and spans of Amazon Bedrock calls, named as CloudWatch names them.
//!
//! ```
//! use metrics_util::debugging::DebuggingRecorder;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bedrock_cloudwatch::{MetricsLayer, TraceLayer};
//! use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target, TokenUsage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Any recorder of the `metrics` facade: Prometheus, OpenTelemetry, CloudWatch, or this one for tests.
//! let recorder = DebuggingRecorder::new();
//! let snapshotter = recorder.snapshotter();
//! recorder.install()?;
//!
//! let mut bedrock = ServiceBuilder::new()
//!     .layer(MetricsLayer::requests())
//!     .layer(TraceLayer::requests())
//!     // retry, breaker, quota, ...
//!     .layer(MetricsLayer::attempts())
//!     .layer(TraceLayer::attempts())
//!     .service_fn(|_: Invocation<&'static str>| async {
//!         let usage = TokenUsage { input: 3, output: 2, ..TokenUsage::default() };
//!         Ok::<_, BoxError>(Answer::new("Hello.").with_usage(usage))
//!     });
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! bedrock.ready().await?.call(Invocation::new(target, "Say hello.")).await?;
//!
//! let names: Vec<_> = snapshotter.snapshot().into_vec().into_iter()
//!     .map(|(key, ..)| key.key().name().to_owned())
//!     .collect();
//! assert!(names.iter().any(|name| name == "Invocations"));
//! assert!(names.iter().any(|name| name == "OutputTokenCount"));
//! # Ok(())
//! # }
//! ```
//!
//! # Requests and attempts
//!
//! One request of the application may be many attempts at Bedrock, or none. Both layers therefore come in two
//! scopes. What AWS/Bedrock publishes itself, of attempts, has AWS's name here; what only this side knows, of
//! requests, has a name of its own. [`METRICS`] is the whole table.
//!
//! What policies do on the way is recorded with the handles of [`policy`].
//!
//! # To CloudWatch and to people
//!
//! The module `recorder` (feature `recorder`) is a recorder of the facade that sends to CloudWatch within its limits, or
//! writes its embedded metric format. The module `operations` (feature `operations`) makes a dashboard, alarms, log
//! queries and rights from the table. Neither depends on AWS's SDK unless the feature `aws` is on.
//!
//! # Cost
//!
//! Handles are registered once a target; after that a successful unary call records without looking anything
//! up by name and without allocating. Errors look their counter up when they occur.
//!
//! # What is never recorded
//!
//! Bodies, keys and tokens. Labels and attributes are ids, Regions, kinds of fault, counts and durations.

mod attributes;
mod bounded;
mod handles;
#[cfg(any(feature = "operations", feature = "recorder"))]
mod limits;
mod metrics_layer;
#[cfg(any(feature = "operations", feature = "recorder"))]
mod names;
#[cfg(feature = "operations")]
pub mod operations;
pub mod policy;
#[cfg(feature = "recorder")]
pub mod recorder;
mod recording;
pub mod table;
mod trace_layer;

pub use self::{
    metrics_layer::{Metrics, MetricsFuture, MetricsLayer},
    table::METRICS,
    trace_layer::{Trace, TraceFuture, TraceLayer},
};

/// The README's example, compiled and run as it stands.
#[cfg(all(doctest, feature = "recorder"))]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
