use std::sync::Arc;

use tokio::time::Duration;
use tower_bedrock_core::{Fault, GaveUp, Target};

/// Told what happens to calls: for metrics, and for people who wonder what a call is waiting for.
///
/// Every failed attempt is told by [`attempt_failed`](Self::attempt_failed) and then by one of
/// [`will_retry`](Self::will_retry) and [`gave_up`](Self::gave_up), or by neither where its fault is of a
/// kind that is not retried. A call that gives up while it waits to be retried is told by `gave_up` once
/// more. Nothing is told of an attempt that succeeds, nor of a service that fails instead of becoming
/// ready: the caller's result speaks for itself.
///
/// ```
/// use std::{sync::atomic::{AtomicU64, Ordering}, time::Duration};
/// use tower_bedrock_retry::{Failure, Observer, Policy, RetryLayer};
///
/// #[derive(Default)]
/// struct BackoffTime(AtomicU64);
///
/// impl Observer for BackoffTime {
///     fn will_retry(&self, _: &Failure<'_>, delay: Duration) {
///         self.0.fetch_add(delay.as_millis() as u64, Ordering::Relaxed);
///     }
/// }
///
/// let layer = RetryLayer::builder(Policy::default()).observer(BackoffTime::default()).build();
/// ```
///
/// Called in the task that polls the call, with no lock held. It must be quick and must not panic. `()`
/// is told everything and does nothing; an `Arc` tells what it holds.
pub trait Observer {
    /// An attempt failed.
    fn attempt_failed(&self, failure: &Failure<'_>) {
        let _ = failure;
    }

    /// The call will be tried again after `delay`, once the inner service is ready.
    fn will_retry(&self, failure: &Failure<'_>, delay: Duration) {
        let _ = (failure, delay);
    }

    /// The call will not be tried again, although its fault could have been.
    fn gave_up(&self, failure: &Failure<'_>, why: GaveUp) {
        let _ = (failure, why);
    }
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// Where the call went.
    pub target: &'a Target,
    /// What went wrong.
    pub fault: Fault,
    /// Which attempt of the call it was, counted from 1.
    pub attempt: u32,
}

impl Observer for () {}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn attempt_failed(&self, failure: &Failure<'_>) {
        (**self).attempt_failed(failure);
    }

    fn will_retry(&self, failure: &Failure<'_>, delay: Duration) {
        (**self).will_retry(failure, delay);
    }

    fn gave_up(&self, failure: &Failure<'_>, why: GaveUp) {
        (**self).gave_up(failure, why);
    }
}
