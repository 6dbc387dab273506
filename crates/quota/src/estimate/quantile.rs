/// A quantile of a stream of numbers, followed as it moves, in constant memory.
///
/// Each sample above it lifts it by `quantile` of a step and each one below lowers it by the rest, so it
/// rests where a share `quantile` lies below: stochastic gradient descent on the pinball loss (Koenker and
/// Bassett, *Regression Quantiles*, 1978). Only the side counts and not the distance, so an outlier moves
/// it no further than any other sample. Steps go with the spread of the samples and shrink as they come
/// in, down to a thirtieth of it, so that it never stops following.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantile {
    quantile: f64,
    value: f64,
    spread: f64,
    samples: u32,
}

const SMALLEST_STEP: f64 = 1.0 / 30.0;

/// After many equal samples it must be able to move again.
const LEAST_SPREAD: f64 = 1e-3;

impl Quantile {
    pub(crate) const fn new(quantile: f64) -> Self {
        Self {
            quantile,
            value: 0.0,
            spread: 0.0,
            samples: 0,
        }
    }

    /// The same quantile of a stream that begins now.
    pub(crate) const fn fresh(&self) -> Self {
        Self::new(self.quantile)
    }

    pub(crate) const fn value(&self) -> f64 {
        self.value
    }

    pub(crate) const fn samples(&self) -> u32 {
        self.samples
    }

    pub(crate) fn add(&mut self, sample: f64) {
        if self.samples == 0 {
            self.value = sample;
        }
        self.samples = self.samples.saturating_add(1);
        let distance = (sample - self.value).abs();
        // The spread itself is robust: no sample counts for more than three times what is usual.
        let distance = if self.samples > 8 {
            distance.min(3.0 * self.spread.max(LEAST_SPREAD))
        } else {
            distance
        };
        let weight = (1.0 / f64::from(self.samples)).max(0.02);
        self.spread += (distance - self.spread) * weight;
        let step = self.spread * (2.0 / f64::from(self.samples).sqrt()).max(SMALLEST_STEP);
        // One that hits it stays where it is: figures that are exact are left alone.
        if sample > self.value {
            self.value += step * self.quantile;
        } else if sample < self.value {
            self.value -= step * (1.0 - self.quantile);
        }
    }
}
