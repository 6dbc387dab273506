//! What clients are told of a call beyond its answer.

use http::{HeaderMap, HeaderName, HeaderValue, header::AGE};
use tokio::time::Duration;
use tower_bedrock_core::{History, Target};

/// How often Bedrock was asked.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-tower-bedrock-attempts");
/// The model that answered, as it was called.
const MODEL: HeaderName = HeaderName::from_static("x-tower-bedrock-model");
/// The Region that was called for the answer.
const REGION: HeaderName = HeaderName::from_static("x-tower-bedrock-region");
/// There only where the answer is not from what was asked.
const DEGRADED: HeaderName = HeaderName::from_static("x-tower-bedrock-degraded");

/// Who answered a call.
#[derive(Debug)]
pub(crate) struct Served {
    by: Target,
    degraded: bool,
    /// Of an answer that was kept from an earlier call.
    age: Option<Duration>,
}

/// Tells how often Bedrock was asked: of answers and of errors.
pub(crate) fn attempts(headers: &mut HeaderMap, attempts: u32) {
    headers.insert(ATTEMPTS, attempts.into());
}

impl Served {
    pub(crate) fn new(asked: &Target, history: Option<&History>) -> Self {
        let by = history.and_then(|history| history.served_by.as_ref());
        let by = by.unwrap_or(asked);
        // Another model, or none at all; by another Region or profile it is the same one that answers.
        let stands_in = history.and_then(|history| history.degraded);
        Self {
            by: by.clone(),
            degraded: stands_in.is_some() || by.model().base() != asked.model().base(),
            age: stands_in.and_then(|degraded| degraded.age),
        }
    }

    /// The target that answered.
    pub(crate) const fn by(&self) -> &Target {
        &self.by
    }

    /// Tells who answered.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            (MODEL, self.by.model().as_str()),
            (REGION, self.by.region().as_str()),
        ] {
            // Neither can contain what a header cannot.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if self.degraded {
            headers.insert(DEGRADED, HeaderValue::from_static("true"));
        }
        if let Some(age) = self.age {
            headers.insert(AGE, age.as_secs().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::Degraded;

    use super::*;

    fn told(served_by: Option<&str>, degraded: bool) -> [Option<String>; 3] {
        let target = |model: &str| Target::parse("us-west-2", model).unwrap();
        let asked = Target::parse("us-east-1", "us.amazon.nova-pro-v1:0").unwrap();
        let mut history = History::default();
        history.served_by = served_by.map(target);
        history.degraded = degraded.then(Degraded::default);
        let mut headers = HeaderMap::new();
        Served::new(&asked, Some(&history)).write(&mut headers);
        [MODEL, REGION, DEGRADED].map(|name| {
            let value = headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        })
    }

    #[test]
    fn another_model_is_a_degraded_answer_and_another_way_to_it_is_not() {
        let expected = |model: &str, region: &str, degraded: Option<&str>| {
            [Some(model), Some(region), degraded].map(|value| value.map(str::to_owned))
        };
        let asked = "us.amazon.nova-pro-v1:0";
        assert_eq!(told(None, false), expected(asked, "us-east-1", None));
        assert_eq!(told(Some(asked), false), expected(asked, "us-west-2", None));
        let global = "global.amazon.nova-pro-v1:0";
        assert_eq!(
            told(Some(global), false),
            expected(global, "us-west-2", None)
        );
        let other = "us.amazon.nova-lite-v1:0";
        assert_eq!(
            told(Some(other), false),
            expected(other, "us-west-2", Some("true"))
        );
        assert_eq!(told(None, true), expected(asked, "us-east-1", Some("true")));
    }
}
