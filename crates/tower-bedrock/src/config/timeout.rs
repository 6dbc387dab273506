use serde::Deserialize;
use tokio::time::Duration;

use crate::timeout::{InvalidTimeout, TimeoutLayer};

/// `[timeout]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// For one attempt; a stream: until its first content. Default: 120 s.
    #[serde(with = "humantime_serde")]
    pub attempt: Option<Duration>,
    /// For the whole request. Default: 300 s.
    #[serde(with = "humantime_serde")]
    pub request: Option<Duration>,
}

impl TimeoutConfig {
    /// For an attempt and for a request.
    pub(super) fn build(&self) -> Result<(TimeoutLayer, TimeoutLayer), InvalidTimeout> {
        let attempt = self
            .attempt
            .map_or(Ok(TimeoutLayer::ATTEMPT), TimeoutLayer::attempt)?;
        let request = self
            .request
            .map_or(Ok(TimeoutLayer::REQUEST), TimeoutLayer::request)?;
        Ok((attempt, request))
    }
}
