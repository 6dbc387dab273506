use std::fmt;

/// A setting that a builder does not accept.
///
/// ```
/// use tower_bedrock_retry::Policy;
///
/// let error = Policy::builder().max_attempts(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "max_attempts is 0: expected 1 to 1000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl InvalidConfig {
    /// The setting's name.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Accepts a value, or says what would have been accepted.
    pub(crate) fn check(
        accepted: bool,
        field: &'static str,
        value: impl fmt::Debug,
        expected: &'static str,
    ) -> Result<(), Self> {
        if accepted {
            return Ok(());
        }
        Err(Self {
            field,
            value: format!("{value:?}"),
            expected,
        })
    }
}
