//! The gateway's part in a fleet that shares its quotas.

use tokio::sync::oneshot;
use tower_bedrock::quota::fleet::Worker;

use crate::config::{Config, InvalidConfig};

/// Joins the fleet that `config` names: from then on its stack's quotas are the fleet's. What is answered renews their
/// leases.
pub(crate) fn join(config: &mut Config) -> Result<Option<Worker>, InvalidConfig> {
    let Some(fleet) = &config.fleet else {
        return Ok(None);
    };
    let (fleet, worker) = fleet.build().map_err(InvalidConfig::of_stack)?;
    config.stack.fleet = Some(fleet);
    Ok(Some(worker))
}

/// Renews leases until `work` is done, and gives them back then.
pub(crate) async fn leased_for<T>(worker: Option<Worker>, work: impl Future<Output = T>) -> T {
    let Some(worker) = worker else {
        return work.await;
    };
    let (done, told) = oneshot::channel::<()>();
    let work = async {
        let result = work.await;
        drop(done);
        result
    };
    let (result, ()) = tokio::join!(work, worker.run_until(async { drop(told.await) }));
    result
}
