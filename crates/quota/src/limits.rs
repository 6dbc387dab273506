use std::fmt;

use crate::Window;

/// The limits of one quota key. Each may be absent: then it is not known, and is learnt from 429s where
/// the limiter learns.
///
/// ```
/// use tower_bedrock_quota::{Limits, Window};
///
/// let limits = Limits::new().with_requests_per_minute(60).with_tokens_per_minute(100_000);
/// assert_eq!(limits.tokens_per_minute(), Some(100_000));
/// assert_eq!(limits.window(), Window::Sliding);
/// ```
///
/// Tokens a day belong to a whole Region and are set apart, with
/// [`tokens_per_day`](crate::LimitTable::with_tokens_per_day).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    window: Window,
}

/// The limits that a call can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Limit {
    /// Requests a minute.
    RequestsPerMinute,
    /// Tokens a minute.
    TokensPerMinute,
    /// Tokens a day, of all models in a Region.
    TokensPerDay,
}

impl Limits {
    /// The highest limit accepted: a million million.
    pub const MAX: u64 = 1_000_000_000_000;

    /// No limit known; a sliding window.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            window: Window::Sliding,
        }
    }

    /// Sets the requests a minute.
    #[must_use]
    pub fn with_requests_per_minute(mut self, requests: impl Into<Option<u64>>) -> Self {
        self.requests_per_minute = requests.into();
        self
    }

    /// Sets the tokens a minute, in Bedrock's counting (output tokens count as often as the burndown says).
    #[must_use]
    pub fn with_tokens_per_minute(mut self, tokens: impl Into<Option<u64>>) -> Self {
        self.tokens_per_minute = tokens.into();
        self
    }

    /// Sets the shape of the window.
    #[must_use]
    pub const fn with_window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Requests a minute, where known.
    #[must_use]
    pub const fn requests_per_minute(&self) -> Option<u64> {
        self.requests_per_minute
    }

    /// Tokens a minute, where known.
    #[must_use]
    pub const fn tokens_per_minute(&self) -> Option<u64> {
        self.tokens_per_minute
    }

    /// The shape of the window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }
}

impl Limit {
    /// The limit in snake case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests_per_minute",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::TokensPerDay => "tokens_per_day",
        }
    }
}

/// In words: `tokens a minute`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestsPerMinute => "requests a minute",
            Self::TokensPerMinute => "tokens a minute",
            Self::TokensPerDay => "tokens a day",
        })
    }
}
