//! How far it is: a bar for a person, lines for a log.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};

/// Counts what is done. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    total: u64,
    /// Finished by a run before this one.
    before: u64,
    answered: AtomicU64,
    failed: AtomicU64,
    tokens: Arc<AtomicU64>,
    started: Instant,
}

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    pub(super) fn new(total: u64, before: u64) -> Self {
        Self(Arc::new(Counts {
            total,
            before,
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            tokens: Arc::default(),
            started: Instant::now(),
        }))
    }

    /// Where the tokens of answers are counted.
    pub(super) fn tokens(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.tokens)
    }

    pub(super) fn answered(&self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that this run answered, and those that failed in it.
    pub(super) fn counts(&self) -> (u64, u64) {
        let Counts {
            answered, failed, ..
        } = &*self.0;
        (
            answered.load(Ordering::Relaxed),
            failed.load(Ordering::Relaxed),
        )
    }

    pub(super) fn tokens_used(&self) -> u64 {
        self.0.tokens.load(Ordering::Relaxed)
    }

    /// Shows it on standard error for as long as it is polled.
    pub(super) async fn show(&self) -> std::convert::Infallible {
        let bar = stderr().is_terminal().then(|| {
            // The template is a constant, which a test looks at.
            let style = ProgressStyle::with_template(TEMPLATE)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(self.0.total).with_style(style)
        });
        let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            match &bar {
                Some(bar) => {
                    bar.set_position(self.done());
                    bar.set_message(self.text());
                }
                // Nobody may be reading.
                None => {
                    let (done, total) = (self.done(), self.0.total);
                    let _ = writeln!(stderr(), "{done} of {total}{}", self.text());
                }
            }
        }
    }

    fn done(&self) -> u64 {
        let (answered, failed) = self.counts();
        self.0.before + answered + failed
    }

    fn text(&self) -> String {
        let (answered, failed) = self.counts();
        let elapsed = self.0.started.elapsed();
        let per_minute = self.tokens_used() as f64 * 60.0 / elapsed.as_secs_f64().max(1.0);
        let mut text = format!(
            ", {failed} failed, {} tokens a minute",
            HumanCount(per_minute as u64)
        );
        if let Some(left) = left(
            self.0.total.saturating_sub(self.done()),
            answered + failed,
            elapsed,
        ) {
            text += &format!(", {} left", HumanDuration(left));
        }
        text
    }
}

const TEMPLATE: &str = "{bar:40} {pos}/{len}{msg}";

/// The time that so many records will take at the pace of those done.
fn left(records: u64, done: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 {
        return None;
    }
    let secs = elapsed.as_secs_f64() * records as f64 / done as f64;
    Duration::try_from_secs_f64(secs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn the_time_left_goes_by_the_pace_so_far() {
        let minute = Duration::from_secs(60);
        assert_eq!(left(10, 0, minute), None);
        assert_eq!(left(30, 10, minute), Some(minute * 3));
        assert_eq!(left(0, 10, minute), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_records_failures_tokens_and_time() {
        let progress = Progress::new(100, 40);
        tokio::time::advance(Duration::from_secs(120)).await;
        for _ in 0..29 {
            progress.answered();
        }
        progress.failed();
        progress.tokens().fetch_add(9_000, Ordering::Relaxed);
        assert_eq!(progress.done(), 70);
        assert_eq!(
            progress.text(),
            ", 1 failed, 4,500 tokens a minute, 2 minutes left"
        );
    }
}
