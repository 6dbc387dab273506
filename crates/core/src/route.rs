use std::{fmt, str::FromStr};

use crate::Region;

/// The way a model is called. Bedrock keeps a separate quota for each way of calling one base model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Route {
    /// In the Region that is called.
    OnDemand,
    /// Through a cross-Region inference profile that stays in one geography.
    Geographic(Geography),
    /// Through a global cross-Region inference profile: any commercial Region may serve it.
    Global,
    /// Capacity of its own in the Region that is called: provisioned throughput, a custom or imported
    /// model, a marketplace endpoint.
    Dedicated,
    /// Not told by the id: an application inference profile, a prompt or a prompt router may lead
    /// anywhere its owner pointed it.
    Undetermined,
}

/// The geography that a cross-Region inference profile keeps requests in, named as its prefix is.
///
/// ```
/// use tower_bedrock_core::Geography;
///
/// let geography: Geography = "eu".parse()?;
/// assert!(geography.contains(Geography::Eu));
/// assert!(Geography::Apac.contains(Geography::Jp));
/// assert!("mars".parse::<Geography>().is_err());
/// # Ok::<(), tower_bedrock_core::InvalidGeography>(())
/// ```
///
/// Source: AWS, *Supported Regions and models for inference profiles*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Geography {
    /// `us.`: the commercial Regions of the United States.
    Us,
    /// `us-gov.`: AWS GovCloud (US).
    UsGov,
    /// `ca.`: Canada.
    Ca,
    /// `eu.`: the European Union.
    Eu,
    /// `apac.`: Asia and the Pacific.
    Apac,
    /// `jp.`: Japan.
    Jp,
    /// `au.`: Australia.
    Au,
}

/// A geography's name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("geography {0:?} is not known: expected one of us, us-gov, ca, eu, apac, jp, au")]
pub struct InvalidGeography(String);

impl Geography {
    /// Every geography known.
    pub const ALL: [Self; 7] = [
        Self::Us,
        Self::UsGov,
        Self::Ca,
        Self::Eu,
        Self::Apac,
        Self::Jp,
        Self::Au,
    ];

    /// The prefix, without its dot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::UsGov => "us-gov",
            Self::Ca => "ca",
            Self::Eu => "eu",
            Self::Apac => "apac",
            Self::Jp => "jp",
            Self::Au => "au",
        }
    }

    /// Whether what stays within `other` also stays within `self`.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self == other || (self == Self::Apac && matches!(other, Self::Jp | Self::Au))
    }

    /// The geography a Region lies in, or `None` where no profile's geography covers it.
    ///
    /// London (`eu-west-2`) and Zurich (`eu-central-2`) are not in the European Union, so they answer
    /// `None`: a residency rule would rather refuse a hop than send data where it was told not to.
    #[must_use]
    pub fn of(region: &Region) -> Option<Self> {
        match region.as_str() {
            "eu-west-2" | "eu-central-2" => None,
            "ap-northeast-1" | "ap-northeast-3" => Some(Self::Jp),
            "ap-southeast-2" | "ap-southeast-4" => Some(Self::Au),
            // Isolated partitions: nobody's cross-Region profile leads there.
            name if name.contains("-iso") => None,
            name if name.starts_with("us-gov-") => Some(Self::UsGov),
            name if name.starts_with("us-") => Some(Self::Us),
            name if name.starts_with("ca-") => Some(Self::Ca),
            name if name.starts_with("eu-") => Some(Self::Eu),
            name if name.starts_with("ap-") => Some(Self::Apac),
            _ => None,
        }
    }
}

impl FromStr for Geography {
    type Err = InvalidGeography;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|geography| geography.as_str() == name)
            .ok_or_else(|| InvalidGeography(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Geography {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `on-demand`, the geography's prefix, `global`, `dedicated` or `undetermined`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnDemand => f.write_str("on-demand"),
            Self::Geographic(geography) => geography.fmt(f),
            Self::Global => f.write_str("global"),
            Self::Dedicated => f.write_str("dedicated"),
            Self::Undetermined => f.write_str("undetermined"),
        }
    }
}
