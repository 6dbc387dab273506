use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tower_bedrock_core::{Demand, TokenUsage};

use super::{
    Estimate,
    quantile::Quantile,
    regression::{Regression, SOURCES, sources},
};

/// The input tokens of one model version's requests, estimated from their sizes and learnt from its
/// replies.
///
/// Estimating reads a few numbers and takes no lock. Learning takes one; the first 256 replies are learnt
/// from, then every sixteenth, and a reply that would have to wait for the lock is let go.
#[derive(Debug)]
pub(crate) struct Calibration {
    /// Tokens a unit of each source, with the margin for the quantile in it, as the bits of an `f64`. Read
    /// one by one: an estimate between two updates is as good as one before or after.
    tokens_per_unit: [AtomicU64; SOURCES],
    /// The same for a demand that came without sizes: what its own figure is to be multiplied by.
    declared_ratio: AtomicU64,
    replies: Replies,
    lessons: Mutex<Lessons>,
}

/// Apart from what estimates read: a processor that counts a reply takes what is beside it away from all others.
#[derive(Debug)]
#[repr(align(128))]
struct Replies(AtomicU32);

#[derive(Debug)]
struct Lessons {
    regression: Regression,
    /// Of the logarithm of true to estimated tokens.
    residual: Quantile,
    /// How many residuals there have been.
    learnt: u32,
    declared: Quantile,
}

const ALL_LEARNT: u32 = 256;
const THEN_EVERY: u32 = 16;

/// The replies after which the coefficients are about right, and right.
const SETTLED_AFTER: [u32; 2] = [4, 16];

/// An estimate is off by a factor of four at most: beyond it something else is wrong.
const LARGEST_MARGIN: f64 = 1.386_294;

impl Calibration {
    pub(crate) fn new(quantile: f64) -> Self {
        let regression = Regression::new();
        Self {
            tokens_per_unit: regression
                .coefficients()
                .map(|tokens| AtomicU64::new(tokens.to_bits())),
            declared_ratio: AtomicU64::new(1.0_f64.to_bits()),
            replies: Replies(AtomicU32::new(0)),
            lessons: Mutex::new(Lessons {
                regression,
                residual: Quantile::new(quantile),
                learnt: 0,
                declared: Quantile::new(quantile),
            }),
        }
    }
}

impl Estimate for Calibration {
    fn input_tokens(&self, _: &str, demand: &Demand) -> u64 {
        let content = demand.content();
        let tokens = if content == Default::default() {
            demand.input_tokens() as f64 * f64::from_bits(self.declared_ratio.load(Relaxed))
        } else {
            sources(&content)
                .iter()
                .zip(&self.tokens_per_unit)
                .map(|(units, tokens)| units * f64::from_bits(tokens.load(Relaxed)))
                .sum()
        };
        // `as` saturates.
        tokens.ceil() as u64
    }

    fn learn(&self, _: &str, demand: &Demand, usage: &TokenUsage) {
        let tokens = usage.total_input();
        // It need not be exact, so two threads may count one reply: an atomic addition would cost more than the rest.
        let replies = self.replies.0.load(Relaxed);
        self.replies.0.store(replies.wrapping_add(1), Relaxed);
        let learns = replies < ALL_LEARNT || replies.is_multiple_of(THEN_EVERY);
        if !learns || tokens == 0 {
            return;
        }
        let Some(mut lessons) = self.lessons.try_lock() else {
            return;
        };
        let tokens = tokens as f64;
        let content = demand.content();
        if content == Default::default() {
            if demand.input_tokens() > 0 {
                lessons
                    .declared
                    .add((tokens / demand.input_tokens() as f64).ln());
                let margin = margin(&lessons.declared);
                self.declared_ratio.store(margin.to_bits(), Relaxed);
            }
            return;
        }
        let sources = sources(&content);
        let coefficients = lessons.regression.coefficients();
        let expected: f64 = sources.iter().zip(&coefficients).map(|(a, b)| a * b).sum();
        lessons.start_over_once_settled();
        lessons.residual.add((tokens / expected.max(1.0)).ln());
        lessons.regression.learn(&sources, tokens);
        let margin = margin(&lessons.residual);
        let coefficients = lessons.regression.coefficients();
        for (cell, tokens) in self.tokens_per_unit.iter().zip(coefficients) {
            cell.store((tokens * margin).to_bits(), Relaxed);
        }
    }
}

impl Lessons {
    /// The first residuals tell how far off the first estimates were, and not what is left once the
    /// coefficients have been learnt. A high quantile comes down slowly and would carry them as a margin for
    /// hundreds of replies, so it starts anew.
    fn start_over_once_settled(&mut self) {
        if SETTLED_AFTER.contains(&self.learnt) {
            self.residual = self.residual.fresh();
        }
        self.learnt = self.learnt.saturating_add(1);
    }
}

fn margin(residual: &Quantile) -> f64 {
    residual
        .value()
        .clamp(-LARGEST_MARGIN, LARGEST_MARGIN)
        .exp()
}
