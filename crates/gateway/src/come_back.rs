//! When a throttled client should come back. Bedrock's 429s do not say, in practice.

use tokio::time::Duration;
use tower_bedrock::retry::Plan;
use tower_bedrock_core::FaultKind;

/// By then whatever counts against a quota now no longer does, whether its window slides, starts anew every minute
/// or refills: which of them it is AWS does not say.
const MINUTE: Duration = Duration::from_secs(60);

/// A day's quota comes back nobody knows when, and what is forecast further ahead is no better than asking again.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What the gateway says itself where a call has ended with such a fault after so many attempts; `None` for what is no
/// throttle. `quota` is how long the quota, as it is kept count of here, would have calls like it wait, and `breaker` for
/// how long the circuit breaker, which those attempts may have opened, would turn them away.
pub(crate) fn after(
    kind: FaultKind,
    attempts: u32,
    quota: Duration,
    breaker: Duration,
    plan: &Plan,
) -> Option<Duration> {
    // That no wait would help says nothing of when to come back.
    let [quota, breaker] = [quota, breaker].map(|wait| match wait {
        Duration::MAX => Duration::ZERO,
        wait => wait,
    });
    let after = match kind {
        // A shorter forecast has just been refuted: that count had let the call through.
        FaultKind::ThrottledRequests | FaultKind::ThrottledTokens | FaultKind::Throttled => {
            quota.max(MINUTE)
        }
        // It holds calls back by then and lets one find out.
        FaultKind::ThrottledTokensPerDay if !quota.is_zero() => quota,
        FaultKind::ThrottledTokensPerDay => LONGEST,
        // Nobody's quota: as long as the retry that is not made any more would have waited at most.
        FaultKind::ModelOverloaded | FaultKind::ModelNotReady | FaultKind::Overloaded => {
            let backoff = plan.schedule(kind)?.backoff();
            let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
            backoff.base().saturating_mul(doubled).min(backoff.cap())
        }
        _ => return None,
    };
    Some(after.max(breaker).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kind: FaultKind, attempts: u32, quota: u64) -> Option<u64> {
        let quota = Duration::from_secs(quota);
        let after = super::after(kind, attempts, quota, Duration::ZERO, &Plan::default());
        after.map(|after| after.as_secs())
    }

    fn never(kind: FaultKind) -> Option<Duration> {
        super::after(kind, 1, Duration::MAX, Duration::MAX, &Plan::default())
    }

    #[test]
    fn a_quota_is_back_after_a_minute_or_once_those_who_wait_have_had_their_turn() {
        for kind in [
            FaultKind::ThrottledRequests,
            FaultKind::ThrottledTokens,
            FaultKind::Throttled,
        ] {
            assert_eq!(after(kind, 5, 0), Some(60));
            assert_eq!(after(kind, 5, 7), Some(60));
            assert_eq!(after(kind, 5, 90), Some(90));
            assert_eq!(never(kind), Some(MINUTE));
        }
        let day = FaultKind::ThrottledTokensPerDay;
        assert_eq!(after(day, 1, 0), Some(3_600));
        assert_eq!(after(day, 1, 300), Some(300));
        assert_eq!(after(day, 1, 86_400), Some(3_600));
        assert_eq!(never(day), Some(LONGEST));
    }

    #[test]
    fn capacity_is_asked_for_again_as_the_next_retry_would_have() {
        let overloaded = FaultKind::ModelOverloaded;
        for (attempts, expected) in [(0, 1), (1, 1), (3, 4), (20, 60), (u32::MAX, 60)] {
            // A quota says nothing of it.
            assert_eq!(after(overloaded, attempts, 30), Some(expected));
        }
        assert_eq!(after(FaultKind::ModelNotReady, 2, 0), Some(4));
    }

    #[test]
    fn nobody_is_sent_into_a_breaker_that_has_just_opened() {
        let open = Duration::from_secs(59);
        let plan = Plan::default();
        let after = |kind| super::after(kind, 5, Duration::ZERO, open, &plan);
        assert_eq!(after(FaultKind::ModelOverloaded), Some(open));
        assert_eq!(after(FaultKind::ThrottledTokens), Some(MINUTE));
    }

    #[test]
    fn nothing_is_said_of_other_faults() {
        for kind in [
            FaultKind::Unavailable,
            FaultKind::Validation,
            FaultKind::QuotaExhausted,
        ] {
            assert_eq!(after(kind, 1, 5), None);
        }
    }
}
