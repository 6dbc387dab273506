use super::MINUTE;
use crate::time::Time;

/// What calls in flight will give back, as evenly over the time that calls last as they were sent.
pub(super) struct Returns {
    pub(super) tokens: f64,
    /// In nanoseconds.
    pub(super) over: f64,
}

impl Returns {
    /// When so many tokens fit of which some are available now; `at` says when an amount would, were nothing
    /// given back.
    pub(super) fn soonest(
        &self,
        now: Time,
        wanted: u64,
        available: u64,
        at: impl Fn(u64) -> Time,
    ) -> Time {
        // What was sent longer ago than a minute has left the window: nothing comes back of that.
        let tokens = self.tokens * (MINUTE as f64 / self.over).min(1.0);
        let missing = wanted.saturating_sub(available) as f64;
        // `as` saturates, and `min` takes 1 for no number.
        let returned = now.plus((self.over * (missing / tokens).min(1.0)) as u64);
        let rest = at(wanted.saturating_sub(tokens as u64));
        at(wanted).min(rest.max(returned))
    }
}
