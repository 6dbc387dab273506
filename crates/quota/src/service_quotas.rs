use std::collections::BTreeMap;

use crate::{LimitTable, Limits, QuotaPattern, QuotaRoute};

/// # From Service Quotas
///
/// | name in Service Quotas | limit |
/// |---|---|
/// | `On-demand model inference requests per minute for M` | requests a minute of M, on demand |
/// | `On-demand model inference tokens per minute for M` | tokens a minute of M, on demand |
/// | `Cross-region model inference ... for M` | the same through a geographic profile |
/// | `Global cross-region model inference ... for M` | the same through the global profile |
/// | anything else | none |
///
/// Passed over are quotas of other things, quotas of zero (a new account's, until AWS sets them), those
/// for a longer context (`M 1M Context Length`), which no model id tells apart, and tokens a day: Service
/// Quotas lists them by model, and Bedrock counts them for the Region; set those with
/// [`with_tokens_per_day`](Self::with_tokens_per_day).
///
/// M is a display name. It is matched with base model ids word by word: `Anthropic Claude 3.5 Sonnet V2` is
/// `anthropic.claude-3-5-sonnet-20241022-v2:0`. A date in the id is skipped; a name without a version means
/// the first. Where AWS spells a model differently in the two places (`Amazon Titan Text Embeddings V2`,
/// `amazon.titan-embed-text-v2:0`) nothing is matched, rather than a wrong model: add a pattern by hand.
impl LimitTable {
    /// Adds the limits that AWS's Service Quotas lists for Bedrock (service code `bedrock`) in one Region, by
    /// name and value, for the keys that no earlier pattern matches.
    ///
    /// ```
    /// use tower_bedrock_quota::LimitTable;
    ///
    /// // As `ListServiceQuotas` answers.
    /// let applied = [
    ///     ("Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1", 200_000.0),
    ///     ("Cross-region model inference requests per minute for Anthropic Claude Sonnet 4 V1", 200.0),
    ///     ("Number of custom models per account", 100.0),
    /// ];
    /// let table = LimitTable::new().with_service_quotas("us-east-1", applied);
    /// ```
    #[must_use]
    pub fn with_service_quotas<N: AsRef<str>>(
        mut self,
        region: &str,
        quotas: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let mut limits = BTreeMap::<(QuotaRoute, ModelName), Limits>::new();
        for (name, value) in quotas {
            let Some(quota) = Quota::parse(name.as_ref()) else {
                continue;
            };
            // `as` saturates, and makes nothing of NaN.
            let value = (value as u64).min(Limits::MAX);
            if value == 0 {
                continue;
            }
            let entry = limits.entry((quota.route, quota.model)).or_default();
            *entry = match quota.unit {
                Unit::Requests => entry.with_requests_per_minute(value),
                Unit::Tokens => entry.with_tokens_per_minute(value),
            };
        }
        for ((route, model), limits) in limits {
            let pattern = QuotaPattern::named(model).by_route(route).in_region(region);
            self = self.with(pattern, limits);
        }
        self
    }
}

/// A quota of the runtime's, as its name tells.
#[derive(Debug, PartialEq, Eq)]
struct Quota {
    route: QuotaRoute,
    unit: Unit,
    model: ModelName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
}

impl Quota {
    fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        // The longest first: one is the end of another.
        let routes = [
            ("global cross-region ", QuotaRoute::Global),
            ("cross-region ", QuotaRoute::CrossRegion),
            ("on-demand ", QuotaRoute::OnDemand),
        ];
        let (rest, route) = routes
            .into_iter()
            .find_map(|(prefix, route)| Some((name.strip_prefix(prefix)?, route)))?;
        let rest = rest
            .strip_prefix("model inference ")
            .or_else(|| rest.strip_prefix("invokemodel "))?;
        let units = [
            ("requests per minute for ", Unit::Requests),
            ("tokens per minute for ", Unit::Tokens),
        ];
        let (model, unit) = units
            .into_iter()
            .find_map(|(prefix, unit)| Some((rest.strip_prefix(prefix)?, unit)))?;
        (!model.contains("context length")).then(|| Self {
            route,
            unit,
            model: ModelName::new(model),
        })
    }
}

/// A model as Service Quotas calls it, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelName {
    words: Vec<String>,
    version: Option<Vec<String>>,
}

impl ModelName {
    fn new(name: &str) -> Self {
        let (words, version) = split_version(words(name));
        Self { words, version }
    }

    /// Whether this is the name of the model with the given base id.
    pub(crate) fn matches(&self, base: &str) -> bool {
        let Some((provider, model)) = base.split_once('.') else {
            return false;
        };
        let (model, version) = split_version(words(model));
        let is_date = |word: &String| word.len() == 8 && word.starts_with("20");
        let model: Vec<_> = model.into_iter().filter(|word| !is_date(word)).collect();
        let same_version = match (&self.version, version) {
            (None, None) => true,
            (None, Some(of_id)) => of_id[0] == "1",
            (Some(of_name), Some(of_id)) => of_id.starts_with(of_name),
            (Some(of_name), None) => of_name[0] == "1",
        };
        // The provider's display name may come first: "Meta", "Mistral AI", "AI21 Labs".
        let Some(named) = self.words.len().checked_sub(model.len()) else {
            return false;
        };
        let (maker, named) = self.words.split_at(named);
        let provider: String = words(provider).concat();
        let same_maker = maker.is_empty() || maker.concat().starts_with(&provider);
        same_version && same_maker && !named.is_empty() && named == model
    }
}

/// Runs of letters and runs of digits, in lower case: `llama3-70b` and `Llama 3 70B` are the same words.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::<String>::new();
    let mut last = None;
    for char in text.chars() {
        let kind = char.is_ascii_alphanumeric().then(|| char.is_ascii_digit());
        if kind.is_some() && kind == last {
            if let Some(word) = words.last_mut() {
                word.push(char.to_ascii_lowercase());
            }
        } else if kind.is_some() {
            words.push(char.to_ascii_lowercase().to_string());
        }
        last = kind;
    }
    words
}

/// Takes a version off the end: `v`, and numbers.
fn split_version(mut words: Vec<String>) -> (Vec<String>, Option<Vec<String>>) {
    let is_number = |word: &String| word.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = words
        .iter()
        .rev()
        .take_while(|word| is_number(word))
        .count();
    let start = words.len() - numbers;
    if numbers > 0 && start > 0 && words[start - 1] == "v" {
        let version = words.split_off(start);
        words.pop();
        (words, Some(version))
    } else {
        (words, None)
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::Target;

    use super::*;
    use crate::QuotaKey;

    fn limits(table: &LimitTable, region: &str, model: &str) -> (Option<u64>, Option<u64>) {
        let key = QuotaKey::of(&Target::parse(region, model).unwrap());
        let limits = table.limits(&key);
        (limits.requests_per_minute(), limits.tokens_per_minute())
    }

    #[test]
    fn display_names_find_their_models_and_no_others() {
        let models = [
            (
                "Anthropic Claude 3 Haiku",
                "anthropic.claude-3-haiku-20240307-v1:0",
            ),
            (
                "Anthropic Claude 3.5 Sonnet",
                "anthropic.claude-3-5-sonnet-20240620-v1:0",
            ),
            (
                "Anthropic Claude 3.5 Sonnet V2",
                "anthropic.claude-3-5-sonnet-20241022-v2:0",
            ),
            (
                "Anthropic Claude 3.7 Sonnet V1",
                "anthropic.claude-3-7-sonnet-20250219-v1:0",
            ),
            (
                "Anthropic Claude Sonnet 4 V1",
                "anthropic.claude-sonnet-4-20250514-v1:0",
            ),
            (
                "Claude Sonnet 4.5 V1",
                "anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            (
                "Anthropic Claude Haiku 4.5",
                "anthropic.claude-haiku-4-5-20251001-v1:0",
            ),
            ("Anthropic Claude Opus 4.7", "anthropic.claude-opus-4-7"),
            ("Anthropic Claude Sonnet 5", "anthropic.claude-sonnet-5"),
            ("Amazon Nova Micro", "amazon.nova-micro-v1:0"),
            ("Amazon Nova Lite", "amazon.nova-lite-v1:0"),
            ("Amazon Nova 2 Lite", "amazon.nova-2-lite-v1:0"),
            ("Meta Llama 3 8B Instruct", "meta.llama3-8b-instruct-v1:0"),
            (
                "Meta Llama 3.3 70B Instruct",
                "meta.llama3-3-70b-instruct-v1:0",
            ),
            (
                "Meta Llama 4 Maverick 17B Instruct",
                "meta.llama4-maverick-17b-instruct-v1:0",
            ),
            ("Mistral Large 2407", "mistral.mistral-large-2407-v1:0"),
            ("Mistral AI Mistral Small", "mistral.mistral-small"),
            ("AI21 Labs Jamba 1.5 Large", "ai21.jamba-1-5-large-v1:0"),
            ("Cohere Embed English", "cohere.embed-english"),
            ("Z.AI GLM 4.6", "zai.glm-4.6"),
        ];
        for (name, own) in models {
            let name = ModelName::new(name);
            for (_, base) in models {
                assert_eq!(name.matches(base), base == own, "{name:?} {base}");
            }
        }
        // Spelt differently in the two places: nothing rather than something else.
        assert!(
            !ModelName::new("Amazon Titan Text Embeddings V2")
                .matches("amazon.titan-embed-text-v2:0")
        );
        assert!(
            !ModelName::new("Meta Llama 3 8B Instruct").matches("acme.llama3-8b-instruct-v1:0")
        );
        assert!(!ModelName::new("").matches("acme.small"));
        assert!(!ModelName::new("Acme").matches("acme."));
        assert!(!ModelName::new("Acme").matches("acme"));
    }

    #[test]
    fn names_say_route_unit_and_model() {
        let parse = |name: &str| Quota::parse(name).map(|quota| (quota.route, quota.unit));
        let cases = [
            (
                "On-demand model inference tokens per minute for Amazon Nova Lite",
                Some((QuotaRoute::OnDemand, Unit::Tokens)),
            ),
            (
                "On-demand model inference requests per minute for Amazon Nova Lite",
                Some((QuotaRoute::OnDemand, Unit::Requests)),
            ),
            (
                "Cross-region model inference tokens per minute for Amazon Nova Lite",
                Some((QuotaRoute::CrossRegion, Unit::Tokens)),
            ),
            (
                "Cross-Region InvokeModel requests per minute for Amazon Nova Lite",
                Some((QuotaRoute::CrossRegion, Unit::Requests)),
            ),
            (
                "Global cross-region model inference tokens per minute for Amazon Nova 2 Lite",
                Some((QuotaRoute::Global, Unit::Tokens)),
            ),
            (
                "Global cross-Region model inference requests per minute for Amazon Nova 2 Lite",
                Some((QuotaRoute::Global, Unit::Requests)),
            ),
            (
                "Global cross-region model inference tokens per day for Amazon Nova 2 Lite",
                None,
            ),
            (
                "Model invocation max tokens per day for Amazon Nova Lite",
                None,
            ),
            (
                "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1 1M Context Length",
                None,
            ),
            (
                "[bedrock-mantle endpoint] Input tokens per minute for Amazon Nova Lite",
                None,
            ),
            (
                "On-demand latency-optimized model inference tokens per minute for Amazon Nova Pro",
                None,
            ),
            (
                "Minimum number of records per batch inference job for Amazon Nova Lite",
                None,
            ),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(parse(name), expected, "{name}");
        }
    }

    #[test]
    fn values_become_limits_of_their_region_and_route() {
        let of =
            |what: &str| format!("{what} model inference tokens per minute for Amazon Nova Lite");
        let quotas = [
            (of("On-demand"), 1_000.0),
            (of("Cross-region"), 2_000.0),
            (of("Global cross-region"), 4_000.0),
            (
                "Cross-region model inference requests per minute for Amazon Nova Lite".to_owned(),
                20.0,
            ),
            (
                "On-demand model inference tokens per minute for Amazon Nova Pro".to_owned(),
                0.0,
            ),
            (
                "On-demand model inference tokens per minute for Amazon Nova Micro".to_owned(),
                f64::NAN,
            ),
            (
                "On-demand model inference tokens per minute for Amazon Nova Premier".to_owned(),
                f64::INFINITY,
            ),
            (
                "On-demand model inference requests per minute for Amazon Nova Premier".to_owned(),
                -1.0,
            ),
        ];
        let table = LimitTable::new().with_service_quotas("us-east-1", quotas);
        assert_eq!(table.invalid(), None);
        let of = |model| limits(&table, "us-east-1", model);
        assert_eq!(of("amazon.nova-lite-v1:0"), (None, Some(1_000)));
        assert_eq!(of("us.amazon.nova-lite-v1:0"), (Some(20), Some(2_000)));
        assert_eq!(of("global.amazon.nova-lite-v1:0"), (None, Some(4_000)));
        assert_eq!(of("amazon.nova-pro-v1:0"), (None, None));
        assert_eq!(of("amazon.nova-micro-v1:0"), (None, None));
        assert_eq!(of("amazon.nova-premier-v1:0"), (None, Some(Limits::MAX)));
        assert_eq!(
            limits(&table, "us-west-2", "amazon.nova-lite-v1:0"),
            (None, None)
        );
    }
}
