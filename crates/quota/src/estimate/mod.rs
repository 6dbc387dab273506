//! What a call will reserve: its input tokens, learnt, and the most output tokens it may produce.

mod calibration;
mod output;
mod quantile;
mod regression;
#[cfg(test)]
mod tests;

use tower_bedrock_core::{Demand, TokenUsage};

pub use self::output::{MaxOutputTokens, RightSizing};
pub(crate) use self::{calibration::Calibration, output::OutputSizes};

/// An estimate of the input tokens of requests, to be used instead of the limiter's own.
///
/// ```
/// use tower_bedrock_core::Demand;
/// use tower_bedrock_quota::{Estimate, Limiter};
///
/// /// Trusts the demand as it is.
/// struct AsDeclared;
///
/// impl Estimate for AsDeclared {
///     fn input_tokens(&self, _model: &str, demand: &Demand) -> u64 {
///         demand.input_tokens()
///     }
/// }
///
/// let limiter = Limiter::builder().estimate(AsDeclared).build()?;
/// # Ok::<(), tower_bedrock_quota::InvalidConfig>(())
/// ```
pub trait Estimate: Send + Sync + 'static {
    /// The input tokens of a request to the base model `model`. Asked for every call: must be quick.
    fn input_tokens(&self, model: &str, demand: &Demand) -> u64;

    /// A request with this demand used these tokens.
    fn learn(&self, model: &str, demand: &Demand, usage: &TokenUsage) {
        let _ = (model, demand, usage);
    }
}
