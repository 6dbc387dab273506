use std::{collections::VecDeque, fmt, future::Future, pin::pin, time::SystemTime};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at};

use super::{Batch, CloudWatchRecorder, Sink, SinkError, Stats, pending::Pending};
use crate::limits;

/// Takes what a [`CloudWatchRecorder`] gathered to a sink. Made by [`CloudWatchRecorder::worker`].
///
/// Dropped, it loses what could not be sent so far; the recorder goes on gathering for another worker.
#[must_use = "nothing is sent unless the worker runs"]
pub struct Worker<S> {
    recorder: CloudWatchRecorder,
    sink: S,
    pending: Pending,
    /// Taken out of `pending` and not sent yet: one batch, or what it was halved into.
    under_way: VecDeque<Batch>,
    backoff: Backoff,
}

/// How many batches are halved in one go, before what is refused is given up whole. One datum at fault among a
/// thousand takes ten.
const MAX_REJECTIONS: u32 = 100;

impl<S: Sink> Worker<S> {
    pub(crate) fn new(recorder: CloudWatchRecorder, sink: S) -> Self {
        Self {
            pending: Pending::new(recorder.config().max_periods),
            under_way: VecDeque::new(),
            backoff: Backoff::new(recorder.config().max_backoff, rand::make_rng()),
            recorder,
            sink,
        }
    }

    /// Draws the waits between tries from a seed, for tests.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.backoff.rng = StdRng::seed_from_u64(seed);
        self
    }

    /// Sends at every interval until `stop` is ready, and then once more, for as long as the recorder's
    /// [`shutdown_timeout`](super::CloudWatchRecorderBuilder::shutdown_timeout) allows, the end of a request that was
    /// under way included.
    ///
    /// To be spawned. Answers what became of all data.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses what could not be sent so far: tell it to stop instead.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Stats {
        let interval = self.recorder.config().interval;
        let patience = self.recorder.config().shutdown_timeout;
        let mut stop = pin!(stop);
        let mut next_drain = Instant::now() + interval;
        let mut retry = None;
        let deadline = loop {
            let wake = retry.map_or(next_drain, |retry| next_drain.min(retry));
            tokio::select! {
                biased;
                () = &mut stop => break Instant::now() + patience,
                () = sleep_until(wake) => {}
            }
            let now = Instant::now();
            if now >= next_drain {
                self.drain();
                next_drain += interval;
                if next_drain <= now {
                    next_drain = now + interval;
                }
            }
            if retry.is_some_and(|retry| now < retry) {
                continue;
            }
            let result = match self.send_unless(&mut stop, patience).await {
                Ok(result) => result,
                Err(deadline) => break deadline,
            };
            // From when the try ended: one that takes long would use up the wait after it.
            let delay = self.backoff.after(&result);
            retry = delay.map(|delay| Instant::now() + delay);
        };
        self.stop(deadline).await
    }

    /// Sends all there is. Where it is told to stop meanwhile it answers until when there is time for that: a
    /// request that is dropped may have arrived all the same, so the one under way is given of it.
    async fn send_unless(
        &mut self,
        stop: &mut (impl Future<Output = ()> + Unpin),
        patience: Duration,
    ) -> Result<Result<(), SinkError>, Instant> {
        let mut send = pin!(self.send());
        tokio::select! {
            biased;
            result = &mut send => Ok(result),
            () = stop => {
                let deadline = Instant::now() + patience;
                let _ = timeout_at(deadline, send).await;
                Err(deadline)
            }
        }
    }

    /// Gathers and sends once, at the end of a Lambda invocation for instance.
    ///
    /// # Errors
    ///
    /// The sink's, where it is worth trying again: what was not sent is kept.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it keeps what was not sent; a request under way may have arrived all the same.
    pub async fn flush(&mut self) -> Result<(), SinkError> {
        self.drain();
        self.send().await
    }

    /// Where data goes.
    pub const fn get_ref(&self) -> &S {
        &self.sink
    }

    /// Where data goes, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn drain(&mut self) {
        let gathered = self.recorder.drain();
        self.pending.add(self.recorder.now(), gathered);
    }

    /// Sends all there is, until something fails that is worth trying again.
    async fn send(&mut self) -> Result<(), SinkError> {
        let limit = self.recorder.config().timeout;
        let mut rejections = 0;
        while self.fetch() {
            let Some(batch) = self.under_way.front() else {
                break;
            };
            let data = batch.data().len();
            let result = timeout(limit, self.sink.put(batch)).await;
            let counts = self.recorder.counts();
            match result {
                Ok(Ok(())) => {
                    counts.sent(data);
                    self.under_way.pop_front();
                }
                Ok(Err(SinkError::Rejected(why))) => {
                    counts.failed();
                    rejections += 1;
                    self.rejected(&why, rejections < MAX_REJECTIONS);
                }
                Ok(Err(error)) => {
                    counts.failed();
                    return Err(error);
                }
                Err(_) => {
                    counts.failed();
                    return Err(SinkError::Unavailable(format!("no answer in {limit:?}")));
                }
            }
        }
        Ok(())
    }

    /// Sees to it that there is a batch under way; answers whether there is.
    fn fetch(&mut self) -> bool {
        let oldest = self.recorder.now().checked_sub(limits::AGE);
        let oldest = oldest.unwrap_or(SystemTime::UNIX_EPOCH);
        loop {
            if self.under_way.is_empty() {
                let namespace = &self.recorder.config().namespace;
                let Some(batch) = self.pending.take(namespace) else {
                    return false;
                };
                self.under_way.push_back(batch);
            }
            let Some(batch) = self.under_way.front_mut() else {
                return false;
            };
            let too_old = batch.forget_before(oldest);
            if too_old > 0 {
                self.recorder.counts().lost(too_old);
                tracing::warn!(data = too_old, "metric data lost: too old for CloudWatch");
            }
            if !batch.data().is_empty() {
                return true;
            }
            self.under_way.pop_front();
        }
    }

    /// Halves the batch that was refused, or gives it up where it cannot be halved.
    fn rejected(&mut self, why: &str, may_halve: bool) {
        let Some(batch) = self.under_way.pop_front() else {
            return;
        };
        let batch = if may_halve {
            match batch.halves() {
                Ok([first, second]) => {
                    self.under_way.push_front(second);
                    self.under_way.push_front(first);
                    return;
                }
                Err(batch) => batch,
            }
        } else {
            batch
        };
        let data = batch.data().len();
        let metric = batch.data().first().map(super::Datum::name);
        self.recorder.counts().lost(data);
        tracing::warn!(metric, data, why, "metric data lost: refused by CloudWatch");
    }

    async fn stop(mut self, deadline: Instant) -> Stats {
        self.drain();
        let send_all = async {
            loop {
                let result = self.send().await;
                let Some(delay) = self.backoff.after(&result) else {
                    break;
                };
                sleep(delay).await;
            }
        };
        if timeout_at(deadline, send_all).await.is_err() {
            let under_way: usize = self.under_way.iter().map(|batch| batch.data().len()).sum();
            let data = self.pending.clear() + under_way;
            self.recorder.counts().lost(data);
            tracing::warn!(
                data,
                "metric data lost: not sent before the worker had to stop"
            );
        }
        self.recorder.stats()
    }
}

impl<S: fmt::Debug> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("recorder", &self.recorder)
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

/// When to try again after failures in a row.
struct Backoff {
    delay: Duration,
    max: Duration,
    rng: StdRng,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);

    const fn new(max: Duration, rng: StdRng) -> Self {
        Self {
            delay: Self::FIRST,
            max,
            rng,
        }
    }

    /// How long to wait after a try; `None` where it succeeded.
    ///
    /// Up to half of the delay is left to chance, so that processes that failed together do not return
    /// together.
    fn after(&mut self, result: &Result<(), SinkError>) -> Option<Duration> {
        let Err(error) = result else {
            self.delay = Self::FIRST;
            return None;
        };
        let delay = self.delay.mul_f64(self.rng.random_range(0.5..=1.0));
        self.delay = (self.delay * 2).min(self.max);
        tracing::warn!(%error, ?delay, "metric data not sent: kept to be sent later");
        Some(delay)
    }
}
