use tower_bedrock_core::Content;

/// The things that input tokens come from.
pub(crate) const SOURCES: usize = 6;

/// Tokens from sizes, learnt online: how many tokens one unit of each source is.
///
/// A Kalman filter on constant coefficients that drift slowly (recursive least squares with a memory; see
/// Haykin, *Adaptive Filter Theory*, ch. 10). Sizes and tokens are divided by the first estimate, so that
/// relative errors count and a short prompt teaches as much as a long one. Each coefficient starts at core's
/// first estimate, trusted to within a half; a source that is not seen stays there. An error far beyond
/// what is usual is cut to three times that, so one odd reply does little.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    /// What the first estimate is to be multiplied by, for each source.
    ratios: [f64; SOURCES],
    covariance: [[f64; SOURCES]; SOURCES],
    noise: f64,
}

/// First estimates: see [`Content::estimated_tokens`]. The last is what a request has whatever its content;
/// nothing is known of it beforehand but that it is some tens of tokens.
const FIRST: [f64; SOURCES] = [1.0 / 4.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 4.0, 1_600.0, 16.0];

const START: [f64; SOURCES] = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
/// Nothing is known of the last but its order of magnitude: tools bring hundreds of tokens of their own.
const START_VARIANCE: [f64; SOURCES] = [0.25, 0.25, 0.25, 0.25, 0.25, 100.0];
const START_NOISE: f64 = 0.04;
const LEAST_NOISE: f64 = 0.000_1;
const DRIFT: f64 = 0.000_01;
const LARGEST_RATIO: f64 = 40.0;

/// What there is of each source.
pub(crate) const fn sources(content: &Content) -> [f64; SOURCES] {
    [
        content.ascii_bytes as f64,
        content.non_ascii_bytes as f64,
        content.tool_bytes as f64,
        content.document_bytes as f64,
        content.images as f64,
        1.0,
    ]
}

impl Regression {
    pub(crate) fn new() -> Self {
        let mut covariance = [[0.0; SOURCES]; SOURCES];
        for (i, row) in covariance.iter_mut().enumerate() {
            row[i] = START_VARIANCE[i];
        }
        Self {
            ratios: START,
            covariance,
            noise: START_NOISE,
        }
    }

    /// Tokens a unit, for each source.
    pub(crate) fn coefficients(&self) -> [f64; SOURCES] {
        std::array::from_fn(|i| self.ratios[i] * FIRST[i])
    }

    /// Learns from a request with these sources that turned out to be so many tokens.
    pub(crate) fn learn(&mut self, sources: &[f64; SOURCES], tokens: f64) {
        let first: [f64; SOURCES] = std::array::from_fn(|i| sources[i] * FIRST[i]);
        let scale: f64 = first.iter().sum();
        let x = first.map(|tokens| tokens / scale);
        for (i, row) in self.covariance.iter_mut().enumerate() {
            if x[i] > 0.0 {
                row[i] += DRIFT;
            }
        }
        // covariance * x, and the variance of the prediction
        let spread: [f64; SOURCES] = std::array::from_fn(|i| dot(&self.covariance[i], &x));
        let variance = dot(&spread, &x) + self.noise;
        let error = tokens / scale - dot(&self.ratios, &x);
        let usual = 3.0 * variance.sqrt();
        let error = error.clamp(-usual, usual);
        for i in 0..SOURCES {
            let gain = spread[i] / variance;
            let least = if i == SOURCES - 1 {
                0.0
            } else {
                1.0 / LARGEST_RATIO
            };
            self.ratios[i] = (self.ratios[i] + gain * error).clamp(least, LARGEST_RATIO);
            for (j, cell) in self.covariance[i].iter_mut().enumerate() {
                *cell -= gain * spread[j];
            }
            // Rounding must not take it below nothing.
            self.covariance[i][i] = self.covariance[i][i].max(DRIFT);
        }
        // What the filter does not know yet is no noise, so only what the noise explains of the error is.
        let explained = error * error * (self.noise / variance);
        self.noise = (self.noise + 0.05 * (explained - self.noise)).max(LEAST_NOISE);
    }
}

fn dot(a: &[f64; SOURCES], b: &[f64; SOURCES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
