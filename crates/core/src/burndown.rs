use wildmatch::WildMatch;

use crate::ModelId;

/// How many tokens of quota one output token uses up, by base model.
///
/// ```
/// use tower_bedrock_core::Burndown;
///
/// let burndown = Burndown::default();
/// assert_eq!(burndown.rate("anthropic.claude-sonnet-4-20250514-v1:0"), 5);
/// assert_eq!(burndown.rate("amazon.nova-lite-v1:0"), 1);
///
/// // A model the table does not know yet, or a rate that was agreed on: yours goes first.
/// let burndown = burndown.with_rate("acme.large-*", 3)?;
/// assert_eq!(burndown.rate("acme.large-2"), 3);
/// # Ok::<(), tower_bedrock_core::InvalidBurndown>(())
/// ```
///
/// Patterns are globs (`*` any run of characters, `?` any one) over [`ModelId::base`](crate::ModelId::base),
/// so a cross-Region prefix never hides a model from its rate. The first pattern that matches decides;
/// a model that none matches burns down at 1.
///
/// Source of the default table: AWS, *Token burndown rates* in the Bedrock quota guide, as of November 2026.
#[derive(Clone, Debug)]
pub struct Burndown {
    rates: Vec<(WildMatch, u32)>,
}

/// A burndown rate that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("burndown rate of {pattern:?} is {rate}: expected 1 to {max}", max = Burndown::MAX_RATE)]
pub struct InvalidBurndown {
    pattern: String,
    rate: u32,
}

/// The first match decides, so the exceptions stand before the rule.
const DEFAULT_RATES: &[(&str, u32)] = &[
    ("anthropic.claude-*-4-8*", 15),
    ("anthropic.claude-opus-5*", 10),
    ("anthropic.claude-sonnet-5*", 10),
    ("anthropic.claude-fable-5-1*", 10),
    ("openai.gpt-5?6-sol*", 10),
    ("openai.gpt-5?6-terra*", 10),
    ("openai.gpt-5?6-luna*", 10),
    // Anthropic's models 4.7 and below. Versions stood before the family's name until 3.7, after it since.
    ("anthropic.claude-*-4*", 5),
    ("anthropic.claude-3*", 5),
    ("anthropic.claude-v*", 5),
    ("anthropic.claude-instant*", 5),
];

impl Burndown {
    /// The highest rate accepted. AWS's highest is 15.
    pub const MAX_RATE: u32 = 1_000;

    /// Sets the rate of the base models that match a glob, before all patterns there are already. A
    /// cross-Region prefix in front of the glob is passed over: a model's rate is the same whichever way it
    /// is called.
    ///
    /// # Errors
    ///
    /// [`InvalidBurndown`] where the rate is 0 or above [`MAX_RATE`](Self::MAX_RATE).
    pub fn with_rate(mut self, pattern: &str, rate: u32) -> Result<Self, InvalidBurndown> {
        if !(1..=Self::MAX_RATE).contains(&rate) {
            return Err(InvalidBurndown {
                pattern: pattern.to_owned(),
                rate,
            });
        }
        let (_, base) = ModelId::split_prefix(pattern);
        self.rates.insert(0, (WildMatch::new(base), rate));
        Ok(self)
    }

    /// The rate of a base model.
    #[must_use]
    pub fn rate(&self, base: &str) -> u32 {
        self.rates
            .iter()
            .find(|(pattern, _)| pattern.matches(base))
            .map_or(1, |(_, rate)| *rate)
    }
}

/// AWS's published rates.
impl Default for Burndown {
    fn default() -> Self {
        let rates = DEFAULT_RATES
            .iter()
            .map(|(pattern, rate)| (WildMatch::new(pattern), *rate))
            .collect();
        Self { rates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_be_the_id_that_is_called() {
        let burndown = Burndown::default();
        let burndown = burndown.with_rate("us.acme.large-*", 3).unwrap();
        assert_eq!(burndown.rate("acme.large-2"), 3);
    }
}
