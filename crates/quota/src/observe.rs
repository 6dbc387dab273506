use tokio::time::Duration;

use crate::{Exhausted, QuotaKey};

/// Told what the limiter does, for metrics and logs. Called outside all locks, in the task of the call.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_quota::{Limiter, Observe, QuotaKey};
///
/// struct Print;
///
/// impl Observe for Print {
///     fn admitted(&self, key: &QuotaKey, waited: Duration) {
///         println!("{key}: let a call through after {waited:?}");
///     }
/// }
///
/// let limiter = Limiter::builder().observe(Print).build()?;
/// # Ok::<(), tower_bedrock_quota::InvalidConfig>(())
/// ```
pub trait Observe: Send + Sync + 'static {
    /// A call was let through, having waited so long (zero where it did not wait).
    fn admitted(&self, key: &QuotaKey, waited: Duration) {
        let _ = (key, waited);
    }

    /// A call was turned away, having waited so long.
    fn refused(&self, key: &QuotaKey, exhausted: &Exhausted, waited: Duration) {
        let _ = (key, exhausted, waited);
    }

    /// A call ended that had reserved so many tokens: what it cost, or `None` where nobody knows and the
    /// reservation is kept. A call that Bedrock refused, or that was not sent, costs nothing.
    fn settled(&self, key: &QuotaKey, reserved: u64, cost: Option<u64>) {
        let _ = (key, reserved, cost);
    }

    /// Bedrock throttled a call that the limiter had let through.
    fn throttled(&self, key: &QuotaKey) {
        let _ = key;
    }

    /// Only of a fleet: the store that shares out this quota has not answered for as long as the lease lasted.
    /// From now on this process keeps to its safe share.
    fn store_lost(&self, key: &QuotaKey) {
        let _ = key;
    }

    /// Only of a fleet: the store has answered for the first time since this limiter knows of the quota. Where the
    /// limiter whose place it takes had lost the store, that is over.
    fn store_found(&self, key: &QuotaKey) {
        let _ = key;
    }

    /// Only of a fleet: the store answers again, after this process has kept to its safe share for so long.
    fn store_back(&self, key: &QuotaKey, after: Duration) {
        let _ = (key, after);
    }
}

/// Looks away.
impl Observe for () {}
