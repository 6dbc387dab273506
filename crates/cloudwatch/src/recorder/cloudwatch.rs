use aws_sdk_cloudwatch::{
    Client,
    config::{Config, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::put_metric_data::PutMetricDataError,
    types::{Dimension, MetricDatum, StandardUnit},
};

use super::{Batch, Datum, Sink, SinkError};

/// Sends data to CloudWatch by `PutMetricData`, compressed where it is large.
///
/// ```no_run
/// use aws_sdk_cloudwatch::Client;
/// use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, CloudWatchSink};
///
/// # async fn example(client: Client, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let recorder = CloudWatchRecorder::builder().build()?;
/// metrics::set_global_recorder(recorder.clone())?;
/// let worker = recorder.worker(CloudWatchSink::new(client));
/// let worker = tokio::spawn(worker.run_until(stop));
/// // ... serve ...
/// worker.await?;
/// # Ok(())
/// # }
/// ```
///
/// The client's own retries are switched off for it: the [`Worker`](super::Worker) owns them. It needs the right
/// `cloudwatch:PutMetricData`.
#[derive(Clone, Debug)]
pub struct CloudWatchSink {
    client: Client,
}

impl CloudWatchSink {
    /// Sends with the credentials and to the Region of a client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client.
    #[must_use]
    pub const fn get_ref(&self) -> &Client {
        &self.client
    }
}

impl Sink for CloudWatchSink {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let data = batch.data().iter().map(datum).collect();
        self.client
            .put_metric_data()
            .namespace(batch.namespace())
            .set_metric_data(Some(data))
            .customize()
            .config_override(Config::builder().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }
}

fn datum(datum: &Datum) -> MetricDatum {
    let dimensions = datum
        .dimensions()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect();
    let builder = MetricDatum::builder()
        .metric_name(datum.name())
        .unit(StandardUnit::from(datum.unit()))
        .timestamp(datum.timestamp().into())
        .set_dimensions(Some(dimensions));
    if let [(value, 1)] = datum.values() {
        return builder.value(*value).build();
    }
    // CloudWatch's counts are doubles.
    #[allow(clippy::cast_precision_loss)]
    let (values, counts) = datum
        .values()
        .iter()
        .map(|(value, count)| (*value, *count as f64))
        .unzip();
    builder
        .set_values(Some(values))
        .set_counts(Some(counts))
        .build()
}

/// Only what names a parameter as wrong, or the request as too large, is refused for good: rights and
/// credentials can be mended.
fn classify(error: &SdkError<PutMetricDataError>) -> SinkError {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = error.code();
    let why = match (code, status) {
        (Some(code), Some(status)) => format!("{code} ({status})"),
        (None, Some(status)) => format!("status {status}"),
        // What the client library says of connections and credentials.
        (code, None) => format!("{}{error}", code.unwrap_or_default()),
    };
    let parameter = error.as_service_error().is_some_and(|error| {
        error.is_invalid_parameter_value_exception()
            || error.is_invalid_parameter_combination_exception()
            || error.is_missing_required_parameter_exception()
    });
    let malformed = code.is_some_and(|code| {
        code.starts_with("InvalidParameter")
            || code.starts_with("MissingParameter")
            || code == "ValidationError"
            || code == "SerializationException"
    });
    if parameter || malformed || status == Some(413) {
        SinkError::Rejected(why)
    } else {
        SinkError::Unavailable(why)
    }
}
