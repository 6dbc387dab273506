//! A [`metrics::Recorder`] that aggregates for Amazon CloudWatch.
//!
//! ```
//! use tower_bedrock_cloudwatch::recorder::{Batch, CloudWatchRecorder, Sink, SinkError};
//!
//! /// Where data goes: CloudWatch itself (`CloudWatchSink`, feature `aws`), a log ([`EmfSink`]), or this.
//! struct Print;
//!
//! impl Sink for Print {
//!     async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
//!         for datum in batch.data() {
//!             println!("{} {:?}", datum.name(), datum.values());
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let recorder = CloudWatchRecorder::builder().dimension("Service", "chat").build()?;
//! metrics::set_global_recorder(recorder.clone())?;
//!
//! // Nothing is sent unless a worker runs. It sends once a minute, and once more when told to stop.
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let worker = recorder.worker(Print);
//! let worker = tokio::spawn(worker.run_until(async { drop(stopped.await) }));
//!
//! metrics::counter!("Orders").increment(1);
//!
//! drop(stop);
//! let stats = worker.await?;
//! assert_eq!((stats.data_sent, stats.data_lost), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # What is sent
//!
//! - A **counter** as what it grew by, where it grew.
//! - A **gauge** as it stands.
//! - A **histogram** as values and counts, so that CloudWatch can answer every percentile: values are rounded
//!   to buckets whose width grows with the value, [`RELATIVE_ERROR`] at most, which bounds the error of
//!   percentiles, sums, minima and maxima alike. Zero is kept as it is. Accepted are 0 and 2^-20 to 2^40;
//!   what is smaller counts as 0, and what is larger, negative or no number is refused and counted.
//! - **Rolled up**: a counter with a label that [`roll_up`](CloudWatchRecorderBuilder::roll_up) names (by
//!   default `Fault`, `Cause`, `State` and `Reason`) is also sent without it, because CloudWatch
//!   does not add up dimensions and an alarm may watch ten series at most.
//!
//! # When CloudWatch fails
//!
//! What could not be sent is kept and sent later, with the minute it belongs to. Memory stays bounded because
//! what is kept is merged, not dropped: each series has one entry a period, and the oldest periods
//! are merged when there are more than [`max_periods`](CloudWatchRecorderBuilder::max_periods). What CloudWatch
//! refuses for good is halved until the datum at fault is found, which alone is lost. Every loss
//! is logged and counted in [`Stats`].
//!
//! A request that timed out may have arrived all the same: data is sent at least once.

mod accumulated;
mod batch;
mod buckets;
mod builder;
mod cells;
#[cfg(feature = "aws")]
mod cloudwatch;
mod emf;
mod pending;
mod registry;
mod sink;
mod stats;
mod unit;
mod worker;

#[cfg(feature = "aws")]
pub use self::cloudwatch::CloudWatchSink;
pub use self::{
    batch::{Batch, Datum},
    buckets::RELATIVE_ERROR,
    builder::{CloudWatchRecorderBuilder, InvalidConfig},
    emf::{EmfSink, Histograms},
    registry::CloudWatchRecorder,
    sink::{Sink, SinkError},
    stats::Stats,
    worker::Worker,
};
