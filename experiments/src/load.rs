//! Load: arrivals that do not wait for one another, and workers that do.

use anyhow::{Context as _, Result};
use rand::Rng;
use rand_distr::{Distribution, Exp};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until, timeout},
};
use tower::ServiceExt;
use tower_bedrock::FaultKind;

use crate::job::{Job, Subject};

/// What became of one job. Times are since the start of the load.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What was asked for.
    pub job: Job,
    /// When it came.
    pub arrived: Duration,
    /// When there was an answer, an error, or no patience left.
    pub finished: Duration,
    /// Whether it was done in time.
    pub result: Result<(), FaultKind>,
}

/// Arrival times of a Poisson process, from `from` up to `until`, so many a minute.
///
/// # Errors
///
/// Where the rate is not more than zero.
pub fn poisson(
    from: Duration,
    until: Duration,
    per_minute: f64,
    rng: &mut impl Rng,
) -> Result<Vec<Duration>> {
    let gap = Exp::new(per_minute / 60.0).context("arrivals need a rate")?;
    let mut arrivals = Vec::new();
    let mut at = from.as_secs_f64() + gap.sample(rng);
    while at < until.as_secs_f64() {
        arrivals.push(Duration::from_secs_f64(at));
        at += gap.sample(rng);
    }
    Ok(arrivals)
}

/// Sends each job when it comes, whatever became of those before it. A client loses patience after
/// `patience`, and drops its call.
///
/// # Errors
///
/// Where a job's task panicked.
pub async fn open_loop(
    subject: &Subject,
    jobs: Vec<(Duration, Job)>,
    patience: Duration,
) -> Result<Vec<Sample>> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, (at, job)) in jobs.into_iter().enumerate() {
        sleep_until(start + at).await;
        let subject = subject.clone();
        tasks.spawn(async move { (index, attend(subject, job, start, patience).await) });
    }
    let mut samples = Vec::new();
    while let Some(sample) = tasks.join_next().await {
        samples.push(sample.context("a job's task panicked")?);
    }
    samples.sort_by_key(|(index, _)| *index);
    Ok(samples.into_iter().map(|(_, sample)| sample).collect())
}

/// One job of one client.
pub async fn attend(subject: Subject, mut job: Job, start: Instant, patience: Duration) -> Sample {
    let arrived = start.elapsed();
    job.deadline = Some(Instant::now() + patience);
    let result = timeout(patience, subject.oneshot(job)).await;
    Sample {
        job,
        arrived,
        finished: start.elapsed(),
        result: result.unwrap_or(Err(FaultKind::DeadlineExceeded)),
    }
}

impl Sample {
    /// How long it took, where it was done.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.result.ok().map(|()| self.finished - self.arrived)
    }
}
