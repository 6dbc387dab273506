use std::mem;

use tokio::time::Duration;
use tower_bedrock_cloudwatch::{
    recorder::{Batch, Sink, SinkError},
    table::{LIMIT, MODEL_ID, REGION, ROUTE},
};

/// A CloudWatch that keeps what it is sent.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<Series>);

/// What a series was sent at one time.
#[derive(Clone, Debug)]
struct Series {
    metric: String,
    dimensions: Vec<(String, String)>,
    /// With how often there was each.
    values: Vec<(f64, u64)>,
}

/// What was sent at one time.
#[derive(Clone, Debug)]
pub(super) struct Flush {
    /// Since the beginning.
    pub(super) at: Duration,
    series: Vec<Series>,
}

impl Sent {
    /// All that has come since it was last asked.
    pub(super) fn take(&mut self, at: Duration) -> Flush {
        let series = mem::take(&mut self.0);
        Flush { at, series }
    }
}

impl Sink for Sent {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.0.extend(batch.data().iter().map(|datum| {
            let dimensions = datum.dimensions();
            Series {
                metric: datum.name().to_owned(),
                dimensions: dimensions
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                values: datum.values().to_vec(),
            }
        }));
        Ok(())
    }
}

impl Flush {
    /// What a counter of a model grew by, whatever its other labels.
    pub(super) fn sum(&self, metric: &str, model: &str) -> f64 {
        let values = self.values(metric, model, &[MODEL_ID, REGION]);
        values.fold(0.0, |sum, (value, count)| sum + value * *count as f64)
    }

    /// What a gauge of a model was last told.
    pub(super) fn gauge(&self, metric: &str, model: &str) -> Option<f64> {
        let values = self.values(metric, model, &[MODEL_ID, REGION]);
        values.last().map(|(value, _)| *value)
    }

    /// What a limit of a base model's quota was last told to be used by.
    pub(super) fn quota_used(&self, model: &str) -> Option<f64> {
        let labels = [LIMIT, MODEL_ID, REGION, ROUTE];
        let values = self.values("QuotaUtilization", model, &labels);
        values.last().map(|(value, _)| *value)
    }

    /// The least value of a distribution that a share of the samples does not exceed.
    pub(super) fn quantile(&self, metric: &str, model: &str, share: f64) -> Option<f64> {
        let mut values: Vec<_> = self.values(metric, model, &[MODEL_ID, REGION]).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: u64 = values.iter().map(|(_, count)| count).sum();
        let mut left = (share * all as f64).ceil();
        let found = values.into_iter().find(|(_, count)| {
            left -= *count as f64;
            left <= 0.0
        });
        found.map(|(value, _)| *value)
    }

    fn values<'a>(
        &'a self,
        metric: &'a str,
        model: &'a str,
        labels: &'a [&str],
    ) -> impl Iterator<Item = &'a (f64, u64)> {
        let wanted = move |series: &&Series| {
            let names = series.dimensions.iter().map(|(name, _)| name.as_str());
            series.metric == metric
                && names.eq(labels.iter().copied())
                && (series.dimensions.iter())
                    .any(|(name, value)| name == MODEL_ID && value == model)
        };
        let series = self.series.iter().filter(wanted);
        series.flat_map(|series| &series.values)
    }
}
