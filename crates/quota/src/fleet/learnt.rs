//! What throttles have taught the whole fleet about one limit.

/// The part of a declared limit that is kept to, in thousandths. One congestion is one lesson, however many
/// members met it: only throttles of calls that were sent under the latest version count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Learnt {
    thousandths: u64,
    version: u64,
    shrunk: u64,
    grown: u64,
}

const WHOLE: u64 = 1_000;
const LEAST: u64 = 20;
/// The least and the most that one lesson takes away.
const SHRINKS: (u64, u64) = (50, 500);
/// After two minutes of calm it grows by a thousandth every 600 ms: the whole limit in ten minutes.
const CALM: u64 = 120_000;
const GROWS_IN: u64 = 600;

impl Default for Learnt {
    fn default() -> Self {
        Self {
            thousandths: WHOLE,
            version: 0,
            shrunk: 0,
            grown: 0,
        }
    }
}

impl Learnt {
    /// Time has passed, and of a thousand calls under a version so many were throttled. Half of that is taken
    /// away: a member that is throttled all the time is far above the limit.
    pub(crate) fn advance(&mut self, now: u64, version: u64, throttled: u64) {
        if self.thousandths < WHOLE {
            let from = self.grown.max(self.shrunk + CALM);
            let steps = now.saturating_sub(from) / GROWS_IN;
            if steps > 0 {
                self.thousandths = WHOLE.min(self.thousandths + steps);
                self.grown = from + steps * GROWS_IN;
            }
        }
        if throttled > 0 && version == self.version {
            let cut = (throttled / 2).clamp(SHRINKS.0, SHRINKS.1);
            self.thousandths = LEAST.max(self.thousandths * (WHOLE - cut) / WHOLE);
            self.version += 1;
            self.shrunk = now;
            self.grown = now;
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// What is left of a limit: one at least.
    pub(crate) fn of(&self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        (limit * self.thousandths / WHOLE).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_congestion_is_one_lesson() {
        let mut learnt = Learnt::default();
        for _ in 0..16 {
            learnt.advance(1_000, 0, 1);
        }
        assert_eq!(learnt.of(1_000), 950);
        learnt.advance(1_000, 1, 800);
        assert_eq!(learnt.of(1_000), 570);
    }

    #[test]
    fn calm_gives_it_back() {
        let mut learnt = Learnt::default();
        learnt.advance(1_000, 0, 1);
        learnt.advance(121_000, 1, 0);
        assert_eq!(learnt.of(1_000), 950);
        learnt.advance(121_000 + 10 * 600, 1, 0);
        assert_eq!(learnt.of(1_000), 960);
        learnt.advance(10_000_000, 1, 0);
        assert_eq!(learnt.of(1_000), 1_000);
    }
}
