use std::{error::Error, fmt};

use tokio::time::Duration;
use tower_bedrock_core::{Fault, FaultKind, HasFault, Rejection};

use crate::Limit;

/// The quota leaves no room for a call in the time it has, so it was turned away and not sent.
///
/// Its [`source`](Error::source) is a [`Fault`] of kind [`FaultKind::QuotaExhausted`] that carries the time
/// to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exhausted {
    /// The limit in the way.
    pub limit: Limit,
    /// What the call asked of that limit: one request, or the tokens it would reserve.
    pub asked: u64,
    /// What the limit had free.
    pub available: u64,
    /// Why the call could not wait for room.
    pub reason: Reason,
    fault: Fault,
}

/// Why a call could not wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It asks for more than the whole limit, so no wait would help.
    TooLarge,
    /// It would wait longer than its deadline, less the time for an answer, or the limiter's `max_wait`
    /// allows.
    WaitTooLong,
    /// Its deadline leaves no time for an answer, whether or not there is room.
    NoTimeLeft,
    /// Too many calls wait already.
    TooManyWaiting,
    /// More quotas are in use than the limiter keeps count of, and this one has limits to be kept.
    TooManyKeys,
}

impl Exhausted {
    pub(crate) const fn new(
        limit: Limit,
        asked: u64,
        available: u64,
        reason: Reason,
        retry_after: Option<Duration>,
    ) -> Self {
        let fault = Fault::new(FaultKind::QuotaExhausted);
        Self {
            limit,
            asked,
            available,
            reason,
            fault: match retry_after {
                Some(after) => fault.with_retry_after(after),
                None => fault,
            },
        }
    }

    /// When such a call is forecast to find room, counted from its refusal; `None` where no wait would help.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.fault.retry_after()
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            asked,
            available,
            reason,
            ..
        } = self;
        write!(
            f,
            "quota exhausted: asked {asked} of {limit}, of which {available} are free; "
        )?;
        f.write_str(match reason {
            Reason::TooLarge => "that is more than the whole limit",
            Reason::WaitTooLong => "the wait would be too long",
            Reason::NoTimeLeft => "its deadline leaves no time for an answer",
            Reason::TooManyWaiting => "too many calls wait already",
            Reason::TooManyKeys => "too many quotas are in use",
        })?;
        match self.retry_after() {
            Some(after) => write!(f, "; come back in {after:?}"),
            None => Ok(()),
        }
    }
}

impl Error for Exhausted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

impl HasFault for Exhausted {
    fn fault(&self) -> Fault {
        self.fault
    }
}

impl Rejection for Exhausted {}
