use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// An AWS Region, such as `us-east-1`. Cheap to clone.
///
/// ```
/// use tower_bedrock_core::Region;
///
/// let region: Region = "eu-central-1".parse()?;
/// assert_eq!(region.as_str(), "eu-central-1");
/// assert!("eu-central-1.evil.example".parse::<Region>().is_err());
/// # Ok::<(), tower_bedrock_core::InvalidRegion>(())
/// ```
///
/// The name is checked because host names are built from it, and a client may have named it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

/// A Region's name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region {0:?} is not valid: expected 1 to {max} of the characters a-z, 0-9 and '-'", max = Region::MAX_LEN)]
pub struct InvalidRegion(String);

impl Region {
    /// The longest name accepted, in bytes. AWS's own pattern allows twenty.
    pub const MAX_LEN: usize = 20;

    /// The name as AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let well_formed = !name.is_empty()
            && name.len() <= Self::MAX_LEN
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if well_formed {
            Ok(Self(name.into()))
        } else {
            // What was sent may be long; the start of it is enough to recognise.
            Err(InvalidRegion(name.chars().take(64).collect()))
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl AsRef<str> for Region {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Region {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
