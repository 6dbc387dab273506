use tokio::time::Duration;
use tower_layer::Layer;

use super::{Timeout, service::Limit};

/// Gives calls so long to answer. See the [module's documentation](super) for an example.
///
/// # Clone
///
/// There is nothing to share.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Limit,
}

/// A time limit that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} timeout is {value:?}: expected more than 0s")]
pub struct InvalidTimeout {
    what: &'static str,
    value: Duration,
}

impl TimeoutLayer {
    /// 120 seconds for an attempt, since long answers of large models take more than a minute; 30 for the first
    /// content of a stream, which is not long in coming.
    pub const ATTEMPT: Self = Self {
        limit: Limit::Attempt {
            answer: Duration::from_secs(120),
            first_event: Duration::from_secs(30),
        },
    };

    /// 300 seconds for a request: what several attempts may take, with a quota's minute to wait for in between.
    pub const REQUEST: Self = Self {
        limit: Limit::Request(Some(Duration::from_secs(300))),
    };

    /// Gives one attempt `timeout` to answer; a stream, to send its first content.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeout`] where it is zero.
    pub const fn attempt(timeout: Duration) -> Result<Self, InvalidTimeout> {
        match checked("attempt", timeout) {
            Ok(timeout) => Ok(Self {
                limit: Limit::Attempt {
                    answer: timeout,
                    first_event: timeout,
                },
            }),
            Err(error) => Err(error),
        }
    }

    /// Gives a stream only so long to send its first content, where that is less than an attempt has. Calls say
    /// in their [`Context`](tower_bedrock_core::Context::with_streaming) that they stream. Of a layer for whole
    /// requests this changes nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeout`] where it is zero.
    pub const fn with_first_event(mut self, timeout: Duration) -> Result<Self, InvalidTimeout> {
        let timeout = match checked("first_event", timeout) {
            Ok(timeout) => timeout,
            Err(error) => return Err(error),
        };
        if let Limit::Attempt {
            answer,
            first_event,
        } = &mut self.limit
        {
            *first_event = if timeout.as_nanos() < answer.as_nanos() {
                timeout
            } else {
                *answer
            };
        }
        Ok(self)
    }

    /// Gives the whole request `timeout`, and less where its own deadline comes earlier.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeout`] where it is zero.
    pub const fn request(timeout: Duration) -> Result<Self, InvalidTimeout> {
        match checked("request", timeout) {
            Ok(timeout) => Ok(Self {
                limit: Limit::Request(Some(timeout)),
            }),
            Err(error) => Err(error),
        }
    }

    /// Enforces the deadline that a request brings, and sets none where it brings none.
    #[must_use]
    pub const fn deadline() -> Self {
        Self {
            limit: Limit::Request(None),
        }
    }
}

const fn checked(what: &'static str, value: Duration) -> Result<Duration, InvalidTimeout> {
    if value.is_zero() {
        Err(InvalidTimeout { what, value })
    } else {
        Ok(value)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.limit)
    }
}
