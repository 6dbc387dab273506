use crate::time::Time;

/// What calls in flight will give back, as evenly over the time that calls last as they were sent.
pub(super) struct Returns {
    pub(super) tokens: f64,
    /// In nanoseconds.
    pub(super) over: f64,
}

impl Returns {
    /// When so many tokens fit of which some are available now, in a window of `period` nanoseconds; `at` says when an
    /// amount would, were nothing given back.
    pub(super) fn soonest(
        &self,
        now: Time,
        period: u64,
        wanted: u64,
        available: u64,
        at: impl Fn(u64) -> Time,
    ) -> Time {
        // What was sent longer ago than a period has left the window when it ends: nothing comes back of that. Nor is
        // anything reckoned with of which it is not known when it comes.
        let comes_back = self.over > 0.0 && self.over < period as f64;
        let tokens = if comes_back { self.tokens } else { 0.0 };
        let missing = wanted.saturating_sub(available) as f64;
        // `as` saturates, and `min` takes 1 for no number.
        let returned = now.plus((self.over * (missing / tokens).min(1.0)) as u64);
        let rest = at(wanted.saturating_sub(tokens as u64));
        at(wanted).min(rest.max(returned))
    }
}
