use std::future::Future;

use tokio::time::{Instant, sleep_until};

/// Waits for a change, at most until the given time.
pub(crate) async fn until(time: Option<Instant>, change: impl Future<Output = ()>) {
    match time {
        Some(time) => tokio::select! {
            () = change => {}
            () = sleep_until(time) => {}
        },
        None => change.await,
    }
}
