use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use crate::config::Config;

/// What this process gathers metrics with, since the first gateway in it that wanted any.
static INSTALLED: Mutex<Option<Recorders>> = Mutex::new(None);

/// The recorders that are installed, of those that a configuration wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorders {
    pub(crate) prometheus: Option<PrometheusHandle>,
}

/// Why metrics cannot be gathered: a process has one recorder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The program has one that is not the gateway's.
    #[error("another recorder of metrics is installed in this process")]
    Foreign,
}

impl Recorders {
    pub(crate) const fn is_none(&self) -> bool {
        self.prometheus.is_none()
    }
}

/// Installs what `config` wants, once in a process: gateways in one process are recorded together.
pub(super) fn install(config: &Config) -> Result<Recorders, RecorderError> {
    let wanted = config.metrics.is_some();
    if !wanted {
        return Ok(Recorders::default());
    }
    let mut installed = INSTALLED.lock();
    if let Some(recorders) = installed.as_ref() {
        return Ok(recorders.clone());
    }
    let prometheus = PrometheusBuilder::new().build_recorder();
    let recorders = Recorders {
        prometheus: Some(prometheus.handle()),
    };
    metrics::set_global_recorder(prometheus).map_err(|_| RecorderError::Foreign)?;
    *installed = Some(recorders.clone());
    Ok(recorders)
}
