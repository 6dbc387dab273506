use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::FanoutBuilder;
use parking_lot::Mutex;
use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, InvalidConfig};

use super::cloudwatch;
use crate::config::{CloudWatch, Config};

/// What this process gathers metrics with, since the first gateway in it that wanted any.
static INSTALLED: Mutex<Option<Installed>> = Mutex::new(None);

struct Installed {
    recorders: Recorders,
    cloudwatch: Option<CloudWatch>,
}

/// The recorders that a configuration wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorders {
    pub(crate) prometheus: Option<PrometheusHandle>,
    pub(crate) cloudwatch: Option<CloudWatchRecorder>,
}

/// Why metrics cannot be gathered: a process has one recorder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The program has one that is not the gateway's.
    #[error("another recorder of metrics is installed in this process")]
    Foreign,
    /// Another gateway in this process was started before, and does without this section or has another.
    #[error("another gateway in this process gathers metrics, without this [{0}]")]
    OfAnother(&'static str),
    /// Its settings cannot be.
    #[error("cloudwatch.{0}")]
    Invalid(#[from] InvalidConfig),
}

impl Recorders {
    pub(crate) const fn is_none(&self) -> bool {
        self.prometheus.is_none() && self.cloudwatch.is_none()
    }
}

/// Installs what `config` wants, once in a process: gateways in one process are recorded together.
pub(super) fn install(config: &Config) -> Result<Recorders, RecorderError> {
    let for_prometheus = config.metrics.is_some();
    let for_cloudwatch = config.cloudwatch.as_ref();
    if !for_prometheus && for_cloudwatch.is_none() {
        return Ok(Recorders::default());
    }
    let mut installed = INSTALLED.lock();
    if let Some(installed) = installed.as_ref() {
        return installed.share(for_prometheus, for_cloudwatch);
    }
    let mut fanout = FanoutBuilder::default();
    let mut recorders = Recorders::default();
    if for_prometheus {
        let prometheus = PrometheusBuilder::new().build_recorder();
        recorders.prometheus = Some(prometheus.handle());
        fanout = fanout.add_recorder(prometheus);
    }
    if let Some(config) = for_cloudwatch {
        let cloudwatch = cloudwatch::recorder(config)?;
        recorders.cloudwatch = Some(cloudwatch.clone());
        fanout = fanout.add_recorder(cloudwatch);
    }
    metrics::set_global_recorder(fanout.build()).map_err(|_| RecorderError::Foreign)?;
    *installed = Some(Installed {
        recorders: recorders.clone(),
        cloudwatch: for_cloudwatch.cloned(),
    });
    Ok(recorders)
}

impl Installed {
    fn share(
        &self,
        for_prometheus: bool,
        for_cloudwatch: Option<&CloudWatch>,
    ) -> Result<Recorders, RecorderError> {
        if for_prometheus && self.recorders.prometheus.is_none() {
            return Err(RecorderError::OfAnother("metrics"));
        }
        if for_cloudwatch.is_some() && for_cloudwatch != self.cloudwatch.as_ref() {
            return Err(RecorderError::OfAnother("cloudwatch"));
        }
        let Recorders {
            prometheus,
            cloudwatch,
        } = self.recorders.clone();
        Ok(Recorders {
            prometheus: prometheus.filter(|_| for_prometheus),
            cloudwatch: cloudwatch.filter(|_| for_cloudwatch.is_some()),
        })
    }
}
