use tokio::time::Duration;
use tower_bedrock_core::{Fault, FaultKind};

/// What a fault says about the message it struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The message itself is wrong and no attempt will mend it: it is set aside at once.
    SetAside,
    /// It may be the message's doing: an attempt, and after the last one it is set aside.
    Attempt,
    /// It is not the message's doing: it goes back, and no attempt is counted.
    Wait,
}

impl Verdict {
    /// The default rule.
    ///
    /// - A `ValidationException` sets aside.
    /// - A quota without room, capacity that is lacking, an open circuit, a service or a network that is away, and
    ///   rights that are missing wait: an outage, or a role that lost its rights, would otherwise set a whole batch
    ///   aside.
    /// - Everything else is an attempt, since it may be of what is asked: an internal error, a model's error, a call
    ///   that takes too long, what nobody knows. So is a call for more than the whole quota, which no wait would help.
    #[must_use]
    pub const fn of(fault: &Fault) -> Self {
        match fault.kind() {
            FaultKind::Validation => Self::SetAside,
            FaultKind::QuotaExhausted if fault.retry_after().is_none() => Self::Attempt,
            FaultKind::ThrottledRequests
            | FaultKind::ThrottledTokens
            | FaultKind::ThrottledTokensPerDay
            | FaultKind::Throttled
            | FaultKind::ModelOverloaded
            | FaultKind::ModelNotReady
            | FaultKind::TooManyConnections
            | FaultKind::Unavailable
            | FaultKind::Overloaded
            | FaultKind::AccessDenied
            | FaultKind::ServiceQuotaExceeded
            | FaultKind::Transport
            | FaultKind::CircuitOpen
            | FaultKind::QuotaExhausted
            | FaultKind::NoHeadroom => Self::Wait,
            _ => Self::Attempt,
        }
    }
}

/// Whether a fault that waits would have met any other call to its target as well. Throttles and quotas are not among
/// them: how much is asked for is the headroom's to say.
pub(crate) const fn concerns_all(kind: FaultKind) -> bool {
    !kind.is_throttle() && !matches!(kind, FaultKind::QuotaExhausted | FaultKind::NoHeadroom)
}

/// The shortest time before a message is tried again, and the first of a series that doubles.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest time before a message is tried again, whatever anybody says.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(300);

/// How long a message waits after its `attempts`-th attempt failed: from one second, doubled, to five minutes;
/// longer where the fault says so.
pub(crate) fn delay(attempts: u32, fault: Option<&Fault>) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << doublings);
    let asked = fault.and_then(Fault::retry_after).unwrap_or_default();
    delay.max(asked).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_pays_for_what_it_does() {
        let of = |kind| Verdict::of(&Fault::new(kind));
        assert_eq!(of(FaultKind::Validation), Verdict::SetAside);
        for kind in FaultKind::ALL {
            if kind.is_throttle() {
                assert_eq!(of(kind), Verdict::Wait, "{kind}");
            }
        }
        assert_eq!(of(FaultKind::Transport), Verdict::Wait);
        assert_eq!(of(FaultKind::ModelError), Verdict::Attempt);
        assert_eq!(of(FaultKind::Unknown), Verdict::Attempt);
        // No wait would help a call that asks for more than the whole quota.
        assert_eq!(of(FaultKind::QuotaExhausted), Verdict::Attempt);
        let later = Fault::new(FaultKind::QuotaExhausted).with_retry_after(Duration::ZERO);
        assert_eq!(Verdict::of(&later), Verdict::Wait);
    }

    #[test]
    fn delays_double_up_to_five_minutes_and_are_no_shorter_than_asked() {
        let secs = |attempts| delay(attempts, None).as_secs();
        assert_eq!([0, 1, 2, 3, 4].map(secs), [1, 1, 2, 4, 8]);
        assert_eq!([9, 10, u32::MAX].map(secs), [256, 300, 300]);
        let asked =
            |after| Fault::new(FaultKind::Throttled).with_retry_after(Duration::from_secs(after));
        assert_eq!(delay(1, Some(&asked(7))), Duration::from_secs(7));
        assert_eq!(delay(1, Some(&asked(u64::MAX))), MAX_DELAY);
    }
}
