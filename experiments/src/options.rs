//! What all experiments are told.

/// How to run an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seed of all randomness.
    pub seed: u64,
    /// Whether a glance will do: fewer runs and shorter ones, for tests.
    pub quick: bool,
}

impl Options {
    /// A glance, for tests.
    pub const QUICK: Self = Self {
        seed: 1,
        quick: true,
    };

    /// `full`, or `quick` where a glance will do.
    #[must_use]
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The seeds of so many runs.
    #[must_use]
    pub fn seeds(&self, runs: u64) -> Vec<u64> {
        (0..runs)
            .map(|run| self.seed.wrapping_mul(1_000_003).wrapping_add(run))
            .collect()
    }
}

/// The figures that are published.
impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            quick: false,
        }
    }
}
