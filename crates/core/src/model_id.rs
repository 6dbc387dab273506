use std::{borrow::Borrow, fmt, hash::Hash, ops::Range, str::FromStr, sync::Arc};

use crate::{Geography, Region, Route};

/// What Bedrock accepts as a model id: a plain id, an inference profile's id, or an ARN. Cheap to clone.
///
/// ```
/// use tower_bedrock_core::{Geography, ModelId, Route};
///
/// let id: ModelId = "us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?;
/// assert_eq!(id.base(), "anthropic.claude-sonnet-4-20250514-v1:0");
/// assert_eq!(id.route(), Route::Geographic(Geography::Us));
///
/// let arn: ModelId =
///     "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0".parse()?;
/// assert_eq!(arn.base(), "amazon.nova-lite-v1:0");
/// assert_eq!(arn.region().unwrap().as_str(), "eu-west-1");
/// # Ok::<(), tower_bedrock_core::InvalidModelId>(())
/// ```
///
/// | form | [`base`](Self::base) | [`route`](Self::route) |
/// |---|---|---|
/// | `provider.model` | as it is | on-demand |
/// | `us.provider.model`, `global.provider.model`, ... | prefix stripped | geographic, global |
/// | `arn:..:foundation-model/provider.model` | the model | on-demand |
/// | `arn:..:inference-profile/us.provider.model` | prefix stripped | geographic, global |
/// | `arn:..:provisioned-model/..`, `custom-model/..`, `custom-model-deployment/..`, `imported-model/..`, SageMaker `endpoint/..`, `marketplace/..` | the resource | dedicated |
/// | `arn:..:application-inference-profile/..`, `prompt/..`, `prompt-router/..`, `default-prompt-router/..`, and kinds of resource that AWS may add | the resource | undetermined |
///
/// Two ids are equal when their text is. Hashes as its text does, so a map keyed by it can be asked with
/// a `&str`.
#[derive(Clone)]
pub struct ModelId {
    text: Arc<str>,
    base: Range<usize>,
    route: Route,
    region: Option<Region>,
}

/// A model id that Bedrock would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model id {text:?} is not valid: {reason}")]
pub struct InvalidModelId {
    text: String,
    reason: &'static str,
}

impl ModelId {
    /// The longest id accepted, in bytes: Bedrock's own limit.
    pub const MAX_LEN: usize = 2_048;

    /// Takes the prefix of an inference profile off an id or a pattern of ids, and answers the way of calling
    /// that it names.
    ///
    /// ```
    /// use tower_bedrock_core::{Geography, ModelId, Route};
    ///
    /// let (route, base) = ModelId::split_prefix("us.amazon.nova-*");
    /// assert_eq!((route, base), (Some(Route::Geographic(Geography::Us)), "amazon.nova-*"));
    /// assert_eq!(ModelId::split_prefix("amazon.nova-*"), (None, "amazon.nova-*"));
    /// ```
    #[must_use]
    pub fn split_prefix(id: &str) -> (Option<Route>, &str) {
        strip_prefix(id).map_or((None, id), |(prefix, route)| (Some(route), &id[prefix..]))
    }

    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The model behind the id: prefix and ARN stripped. Quotas and burndown rates go by it.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.text[self.base.clone()]
    }

    /// The way the model is called by this id.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// The Region an ARN names; `None` for a plain id.
    #[must_use]
    pub const fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }
}

impl FromStr for ModelId {
    type Err = InvalidModelId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = parse(text).map_err(|reason| InvalidModelId {
            // What was sent may be long; the start of it is enough to recognise.
            text: text.chars().take(128).collect(),
            reason,
        })?;
        Ok(Self {
            text: text.into(),
            base: parsed.base,
            route: parsed.route,
            region: parsed.region,
        })
    }
}

struct Parsed {
    base: Range<usize>,
    route: Route,
    region: Option<Region>,
}

fn parse(text: &str) -> Result<Parsed, &'static str> {
    if text.is_empty() || text.len() > ModelId::MAX_LEN {
        return Err("expected 1 to 2048 bytes");
    }
    let arn = text.starts_with("arn:");
    let accepted = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b) || (arn && b == b'/');
    if !text.bytes().all(accepted) {
        return Err(
            "expected only the characters A-Z, a-z, 0-9, '-', '_', '.', ':' (and '/' in an ARN)",
        );
    }
    if arn {
        return parse_arn(text);
    }
    let (start, route) = strip_prefix(text).unwrap_or((0, Route::OnDemand));
    Ok(Parsed {
        base: start..text.len(),
        route,
        region: None,
    })
}

/// `arn:partition:service:region:account:resource-type/resource-id`
fn parse_arn(text: &str) -> Result<Parsed, &'static str> {
    const SHAPE: &str = "expected an ARN as arn:aws:bedrock:REGION:ACCOUNT:TYPE/ID";
    let mut parts = text.splitn(6, ':').skip(1);
    let mut part = || parts.next().ok_or(SHAPE);
    let (partition, service, region, account, resource) =
        (part()?, part()?, part()?, part()?, part()?);
    if partition != "aws" && !partition.starts_with("aws-") {
        return Err("expected the ARN's partition to be aws, or to start with aws-");
    }
    if service != "bedrock" && service != "sagemaker" {
        return Err("expected the ARN's service to be bedrock or sagemaker");
    }
    let region: Region = region
        .parse()
        .map_err(|_| "expected a Region as the ARN's fourth part")?;
    let twelve_digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    if !account.is_empty() && !twelve_digits {
        return Err("expected the ARN's account to be empty or twelve digits");
    }
    let (kind, id) = resource.split_once('/').ok_or(SHAPE)?;
    if kind.is_empty() || id.is_empty() {
        return Err(SHAPE);
    }
    let resource_start = text.len() - resource.len();
    let id_start = text.len() - id.len();
    let (start, route) = match kind {
        "foundation-model" => (id_start, Route::OnDemand),
        "inference-profile" => strip_prefix(id)
            .map_or((id_start, Route::Undetermined), |(prefix, route)| {
                (id_start + prefix, route)
            }),
        "provisioned-model"
        | "custom-model"
        | "custom-model-deployment"
        | "imported-model"
        | "endpoint"
        | "marketplace" => (resource_start, Route::Dedicated),
        _ => (resource_start, Route::Undetermined),
    };
    Ok(Parsed {
        base: start..text.len(),
        route,
        region: Some(region),
    })
}

/// The length of an inference profile's prefix, dot included, and the route it names.
///
/// Model names have dots of their own (`zai.glm-4.6`), so only prefixes that are known count.
fn strip_prefix(id: &str) -> Option<(usize, Route)> {
    let (prefix, rest) = id.split_once('.')?;
    let route = if prefix == "global" {
        Route::Global
    } else {
        Route::Geographic(prefix.parse::<Geography>().ok()?)
    };
    (!rest.is_empty()).then_some((prefix.len() + 1, route))
}

// === traits that go by the text ===

impl PartialEq for ModelId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ModelId {}

impl Hash for ModelId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for ModelId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ModelId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Borrow<str> for ModelId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ModelId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
