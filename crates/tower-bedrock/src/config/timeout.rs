use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_core::BoxError;

use crate::timeout::TimeoutLayer;

/// What a limiter takes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// `[timeout]`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// For one attempt. Default: 120 s.
    #[serde(with = "humantime_serde")]
    pub attempt: Duration,
    /// For the whole request. Default: 300 s.
    #[serde(with = "humantime_serde")]
    pub request: Duration,
    /// For the first content of a stream, in one attempt. Default: 30 s.
    #[serde(with = "humantime_serde")]
    pub first_event: Duration,
    /// For the turn of a call at its quota: one that would wait longer is refused at once. Default: 61 s.
    #[serde(with = "humantime_serde")]
    pub quota: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(120),
            request: Duration::from_secs(300),
            first_event: Duration::from_secs(30),
            quota: Duration::from_secs(61),
        }
    }
}

impl TimeoutConfig {
    /// For an attempt and for a request.
    pub(super) fn build(&self) -> Result<(TimeoutLayer, TimeoutLayer), BoxError> {
        if self.quota > LONGEST_WAIT {
            let quota = self.quota;
            return Err(format!("quota is {quota:?}: expected at most 1day").into());
        }
        let attempt = TimeoutLayer::attempt(self.attempt)?.with_first_event(self.first_event)?;
        Ok((attempt, TimeoutLayer::request(self.request)?))
    }
}
