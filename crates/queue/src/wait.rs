use std::future::Future;

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Waits until something is so, which is looked at again after each change.
pub(crate) async fn until_so(changed: &Notify, is_so: impl Fn() -> bool) {
    loop {
        // Before looking, so that no change is missed.
        let change = changed.notified();
        if is_so() {
            return;
        }
        change.await;
    }
}

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
