use tower_bedrock_core::{Completion, Fault, FaultKind, TokenUsage};

use crate::{
    attempt::Answered,
    budget::{Ending, Settlement},
};

/// What Bedrock deducts when a call starts: the input, cached or not, and the most output it may produce,
/// not multiplied.
pub(crate) const fn reserved(input: u64, max_output: u64) -> u64 {
    input.saturating_add(max_output)
}

/// The input as Bedrock deducts it when the call starts, cached or not.
const fn input(usage: &TokenUsage) -> u64 {
    usage
        .input
        .saturating_add(usage.cache_read)
        .saturating_add(usage.cache_write)
}

/// What a call has cost when it ends: input and cache writes once, output as often as the model's burndown
/// rate says, cache reads not at all. It can be more than was reserved.
pub(crate) const fn settled(usage: &TokenUsage, burndown: u32) -> u64 {
    usage
        .input
        .saturating_add(usage.cache_write)
        .saturating_add(usage.output.saturating_mul(burndown as u64))
}

/// How a call ended that was answered.
///
/// Where the answer did not say what it cost (a stream that was dropped or broke off before its last
/// event), what was reserved is kept: Bedrock may have charged up to that, and there is no asking.
pub(crate) fn of_completion(completion: &Completion, max_output: u64, burndown: u32) -> Ending {
    match &completion.usage {
        Some(usage) => Ending::Settled(Settlement {
            reserved: reserved(input(usage), max_output),
            cost: settled(usage, burndown),
            answered: Answered::of(completion),
        }),
        None => Ending::Kept,
    }
}

/// How a call ended that failed.
///
/// | fault | reserved tokens |
/// |---|---|
/// | a throttle | back, in full; teaches the limit it names |
/// | overloaded, not ready, unavailable, too many connections | back: Bedrock refused it |
/// | the caller's mistake (validation, access, ...) | back: Bedrock refused it |
/// | turned away on this side | back: it was never sent |
/// | internal error, the model failed or took too long, no answer, a timeout, unknown | kept: it may have run |
pub(crate) const fn of_fault(fault: &Fault) -> Ending {
    let kind = fault.kind();
    if kind.is_throttle() {
        return Ending::Throttled(kind);
    }
    let refused = kind.is_callers_mistake()
        || kind.is_local()
        || matches!(
            kind,
            FaultKind::ModelOverloaded
                | FaultKind::ModelNotReady
                | FaultKind::TooManyConnections
                | FaultKind::Unavailable
                | FaultKind::Overloaded
        );
    if refused {
        Ending::Refunded
    } else {
        Ending::Kept
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::Burndown;

    use super::*;

    /// The worked examples of AWS's quota guide, with a model that burns down at 5.
    #[test]
    fn costs_are_bedrocks() {
        let rate = Burndown::default().rate("anthropic.claude-sonnet-4-20250514-v1:0");
        let cost = |input, output| {
            let usage = TokenUsage {
                input,
                output,
                ..TokenUsage::default()
            };
            settled(&usage, rate)
        };
        assert_eq!(cost(1_000, 100), 1_500);
        assert_eq!(cost(10, 750), 3_760);
        assert_eq!(cost(2_005, 200), 3_005);
        assert_eq!(cost(6, 12), 66);
        assert_eq!(reserved(1_000, 64_000), 65_000);
        assert_eq!(reserved(8_000, 32_000), 40_000);
    }

    #[test]
    fn cache_writes_count_and_cache_reads_do_not() {
        let usage = TokenUsage {
            input: 10,
            output: 2,
            cache_read: 1_000_000,
            cache_write: 300,
        };
        assert_eq!(settled(&usage, 1), 312);
    }

    #[test]
    fn huge_costs_saturate() {
        let usage = TokenUsage {
            input: u64::MAX,
            output: u64::MAX,
            cache_read: u64::MAX,
            cache_write: u64::MAX,
        };
        assert_eq!(settled(&usage, 15), u64::MAX);
        assert_eq!(reserved(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn every_fault_has_its_ending() {
        use FaultKind::*;
        for kind in FaultKind::ALL {
            let expected = match kind {
                ThrottledRequests | ThrottledTokens | ThrottledTokensPerDay | Throttled => {
                    Ending::Throttled(kind)
                }
                ModelTimeout | ModelError | ModelStreamError | Internal | Transport | Timeout
                | Unknown => Ending::Kept,
                _ => Ending::Refunded,
            };
            assert_eq!(of_fault(&Fault::new(kind)), expected, "{kind}");
        }
    }

    #[test]
    fn what_an_answer_does_not_tell_is_kept() {
        assert_eq!(of_completion(&Completion::default(), 0, 5), Ending::Kept);
        let usage = TokenUsage {
            input: 1,
            ..TokenUsage::default()
        };
        let told = Completion::complete(Some(usage));
        let settlement = Settlement {
            reserved: 101,
            cost: 1,
            answered: Answered::Whole,
        };
        assert_eq!(of_completion(&told, 100, 5), Ending::Settled(settlement));
    }
}
