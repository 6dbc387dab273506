//! Which hop comes next? Pure: knows nothing of targets, requests or Tower.

use tokio::time::Duration;

/// The most hops a call can have: the target asked for, and its alternatives.
pub(crate) const MAX_HOPS: usize = 16;

/// The hops of one call and what became of them so far. Hop 0 is the target that was asked for.
///
/// First every hop in order whose forecast is within the latency budget. When those have failed, the hops
/// that were passed over, the shortest forecast first, as long as it is within the time that is left: a
/// late answer beats none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Itinerary {
    /// Bit `n` is set until hop `n` has had its turn.
    in_order: u16,
    /// Bit `n` is set while hop `n` stands passed over.
    passed_over: u16,
}

/// What may be spent on waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest forecast with which a hop is taken in its turn.
    pub(crate) latency_budget: Duration,
    /// Until the call's deadline; `None` where it has none.
    pub(crate) time_left: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send the call to this hop.
    Try(usize),
    /// Leave this hop out for now: its forecast is over the budget. Ask again for the next step.
    PassOver(usize, Duration),
    /// No hop is left that could serve the call in time.
    Exhausted,
}

impl Itinerary {
    /// The hops from 0 up to `hops` that are not left out from the start. At most [`MAX_HOPS`].
    pub(crate) fn new(hops: usize, left_out: impl Fn(usize) -> bool) -> Self {
        let in_order = (0..hops).filter(|&hop| !left_out(hop));
        Self {
            in_order: in_order.fold(0, |hops, hop| hops | 1 << hop),
            passed_over: 0,
        }
    }

    pub(crate) fn step(&mut self, limits: Limits, forecast: impl Fn(usize) -> Duration) -> Step {
        if limits.time_left == Some(Duration::ZERO) {
            return Step::Exhausted;
        }
        let next_in_order = self.in_order.trailing_zeros() as usize;
        if next_in_order < MAX_HOPS {
            let hop = next_in_order;
            self.in_order &= !(1 << hop);
            let wait = forecast(hop);
            if wait <= limits.latency_budget {
                return Step::Try(hop);
            }
            // `MAX` says that no wait would help. Nothing is kept back for such a hop.
            if wait < Duration::MAX {
                self.passed_over |= 1 << hop;
            }
            return Step::PassOver(hop, wait);
        }
        let shortest = (0..MAX_HOPS)
            .filter(|hop| self.passed_over & (1 << hop) != 0)
            .map(|hop| (forecast(hop), hop))
            .min();
        match shortest {
            Some((wait, hop))
                if wait < Duration::MAX && limits.time_left.is_none_or(|left| wait < left) =>
            {
                self.passed_over &= !(1 << hop);
                Step::Try(hop)
            }
            _ => Step::Exhausted,
        }
    }

    /// Whether any hop may follow the one in hand.
    pub(crate) const fn has_more(&self) -> bool {
        self.in_order != 0 || self.passed_over != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written apart from the machine: the order is a sort.
    fn expected_order(
        waits: &[u64],
        left_out: &[bool],
        budget: u64,
        left: Option<u64>,
    ) -> Vec<usize> {
        let (mut order, mut late): (Vec<usize>, Vec<usize>) = (0..waits.len())
            .filter(|&hop| !left_out[hop])
            .partition(|&hop| waits[hop] <= budget);
        late.sort_by_key(|&hop| waits[hop]);
        late.retain(|&hop| left.is_none_or(|left| waits[hop] < left));
        order.extend(late);
        if left == Some(0) { Vec::new() } else { order }
    }

    proptest! {
        #[test]
        fn hops_are_taken_in_the_order_that_a_sort_gives(
            waits in prop::collection::vec(0_u64..10, 1..=MAX_HOPS),
            left_out in prop::collection::vec(any::<bool>(), MAX_HOPS),
            budget in 0_u64..10,
            left in prop::option::of(0_u64..12),
        ) {
            let limits = Limits {
                latency_budget: Duration::from_secs(budget),
                time_left: left.map(Duration::from_secs),
            };
            let mut itinerary = Itinerary::new(waits.len(), |hop| left_out[hop]);
            let mut order = Vec::new();
            let mut passed_over = Vec::new();
            loop {
                match itinerary.step(limits, |hop| Duration::from_secs(waits[hop])) {
                    Step::Try(hop) => order.push(hop),
                    Step::PassOver(hop, wait) => {
                        prop_assert_eq!(wait, Duration::from_secs(waits[hop]));
                        passed_over.push(hop);
                    }
                    Step::Exhausted => break,
                }
                prop_assert!(order.len() + passed_over.len() <= 2 * waits.len(), "it must end");
            }
            prop_assert_eq!(order, expected_order(&waits, &left_out, budget, left));
            prop_assert!(left == Some(0) || passed_over.iter().all(|&hop| waits[hop] > budget));
        }
    }

    #[test]
    fn a_hop_that_no_wait_would_help_is_never_tried() {
        let limits = Limits {
            latency_budget: Duration::ZERO,
            time_left: None,
        };
        let mut itinerary = Itinerary::new(1, |_| false);
        let forecast = |_| Duration::MAX;
        assert_eq!(
            itinerary.step(limits, forecast),
            Step::PassOver(0, Duration::MAX)
        );
        assert!(!itinerary.has_more());
        assert_eq!(itinerary.step(limits, forecast), Step::Exhausted);
    }
}
