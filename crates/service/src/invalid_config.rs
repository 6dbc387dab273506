//! The error of a configuration.

use std::{fmt, ops::RangeInclusive};

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    expected: String,
}

impl InvalidConfig {
    pub(crate) fn new(
        field: &'static str,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: value.into(),
            expected: expected.into(),
        }
    }
}

pub(crate) fn check<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: &T,
    accepted: &RangeInclusive<T>,
) -> Result<(), InvalidConfig> {
    if accepted.contains(value) {
        return Ok(());
    }
    let expected = format!("{:?} to {:?}", accepted.start(), accepted.end());
    Err(InvalidConfig::new(field, format!("{value:?}"), expected))
}
