//! AWS credentials, kept until shortly before they expire.

use std::time::SystemTime;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use parking_lot::RwLock;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long before they expire credentials are asked for anew.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long after a failure the provider is left in peace.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps what a provider gave. One caller at a time asks it anew, and while what is kept is still valid
/// nobody waits for that.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: SharedCredentialsProvider,
    kept: RwLock<Option<Credentials>>,
    refreshing: Mutex<Option<Failure>>,
}

/// When asking last failed, and why.
#[derive(Debug)]
struct Failure {
    at: Instant,
    error: String,
}

/// There are no credentials to sign with.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no AWS credentials: {0}")]
pub(super) struct NoCredentials(String);

impl CachedCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        Self {
            provider,
            kept: RwLock::new(None),
            refreshing: Mutex::new(None),
        }
    }

    /// Credentials that are valid now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing; another caller asks the provider instead.
    pub(super) async fn get(&self) -> Result<Credentials, NoCredentials> {
        let (valid, stale) = match self.kept() {
            Kept::Fresh(credentials) => return Ok(credentials),
            Kept::Stale(credentials) => (Some(credentials), true),
            Kept::None => (None, false),
        };
        let refreshing = if stale {
            self.refreshing.try_lock().ok()
        } else {
            Some(self.refreshing.lock().await)
        };
        let refreshed = match refreshing {
            Some(guard) => self.refresh(guard).await,
            None => Err(NoCredentials("being refreshed".to_owned())),
        };
        match (refreshed, valid) {
            (Err(_), Some(still_valid)) => Ok(still_valid),
            (refreshed, _) => refreshed,
        }
    }

    async fn refresh(
        &self,
        mut last_failure: MutexGuard<'_, Option<Failure>>,
    ) -> Result<Credentials, NoCredentials> {
        // Somebody else may have been here while this caller waited.
        if let Kept::Fresh(credentials) = self.kept() {
            return Ok(credentials);
        }
        if let Some(failure) = last_failure.as_ref().filter(|f| f.at.elapsed() < PAUSE) {
            return Err(NoCredentials(failure.error.clone()));
        }
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                *last_failure = None;
                *self.kept.write() = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) => {
                let error = explain(&error);
                tracing::warn!(error, "AWS credentials could not be refreshed");
                *last_failure = Some(Failure {
                    at: Instant::now(),
                    error: error.clone(),
                });
                Err(NoCredentials(error))
            }
        }
    }

    fn kept(&self) -> Kept {
        let kept = self.kept.read().clone();
        let Some(credentials) = kept else {
            return Kept::None;
        };
        let left = credentials.expiry().map_or(Duration::MAX, |expiry| {
            expiry.duration_since(SystemTime::now()).unwrap_or_default()
        });
        if left > REFRESH_BEFORE {
            Kept::Fresh(credentials)
        } else if left > Duration::ZERO {
            Kept::Stale(credentials)
        } else {
            Kept::None
        }
    }
}

enum Kept {
    Fresh(Credentials),
    /// Still valid, but not for long.
    Stale(Credentials),
    None,
}

fn explain(error: &CredentialsError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use aws_credential_types::provider::future;

    use super::*;

    /// Gives credentials that live for `life`, as often as `good` says, and counts how often it was asked.
    #[derive(Clone, Debug)]
    struct Provider {
        life: Duration,
        good: usize,
        asked: Arc<AtomicUsize>,
    }

    impl Provider {
        fn new(life: Duration, good: usize) -> Self {
            Self {
                life,
                good,
                asked: Arc::default(),
            }
        }
    }

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                tokio::task::yield_now().await;
                if self.asked.fetch_add(1, Ordering::Relaxed) >= self.good {
                    return Err(CredentialsError::provider_error("out of order"));
                }
                let expiry = SystemTime::now() + self.life;
                Ok(Credentials::new("id", "secret", None, Some(expiry), "test"))
            })
        }
    }

    fn cache(provider: &Provider) -> CachedCredentials {
        CachedCredentials::new(SharedCredentialsProvider::new(provider.clone()))
    }

    #[tokio::test]
    async fn fresh_credentials_are_kept_and_asked_for_once() {
        let provider = Provider::new(Duration::from_secs(3_600), usize::MAX);
        let cache = cache(&provider);
        let (a, b, c) = tokio::join!(cache.get(), cache.get(), cache.get());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_still_valid_serves_while_the_provider_is_out_of_order() {
        let provider = Provider::new(REFRESH_BEFORE, 1);
        let cache = cache(&provider);
        assert!(cache.get().await.is_ok());
        assert!(cache.get().await.is_ok());
        assert_eq!(provider.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_provider_is_left_in_peace_for_a_while() {
        let provider = Provider::new(Duration::from_secs(3_600), 0);
        let cache = cache(&provider);
        let error = cache.get().await.unwrap_err().to_string();
        assert!(error.contains("out of order"), "{error}");
        assert!(cache.get().await.is_err());
        assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(PAUSE).await;
        assert!(cache.get().await.is_err());
        assert_eq!(provider.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_way_free() {
        let provider = Provider::new(Duration::from_secs(3_600), usize::MAX);
        let cache = cache(&provider);
        let mut first = Box::pin(cache.get());
        assert!(futures_poll(&mut first).is_none());
        drop(first);
        assert!(cache.get().await.is_ok());
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
