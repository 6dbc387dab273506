use tower_bedrock_core::{Completion, Outcome};

use crate::time::{Time, nanos};

/// How long answers take on one key: what a call's deadline must leave when its wait is over. A stream is
/// answered when it begins, so streams are counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttemptTimes {
    whole: Median,
    streams: Median,
    answers: u64,
}

/// A longer answer lifts it by a tenth, a shorter one lowers it by as much, so that it rests at the median;
/// from half a minute to a second it takes 36 of them.
#[derive(Clone, Copy, Debug, Default)]
struct Median {
    nanos: f64,
    samples: u32,
}

/// What the end of a call tells of the time its answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The whole answer has come just now.
    Whole,
    /// A stream that began so many nanoseconds after it was asked for.
    Began(u64),
    /// A stream that broke off before it began: nothing.
    Never,
}

/// Before so many are known one slow answer could turn everybody away.
const ENOUGH: u32 = 8;

/// The share that one answer moves the median by, after the first few.
const STEP: f64 = 0.1;

/// After the first ones, one answer in so many is timed: the clock costs as much as all the rest of an end.
const SAMPLED: u64 = 16;

impl AttemptTimes {
    /// Whether an answer that ends so is to be timed by the clock.
    pub(crate) fn needs_clock(&self, answered: Answered) -> bool {
        answered == Answered::Whole
            && (self.answers < u64::from(ENOUGH) || self.answers.is_multiple_of(SAMPLED))
    }

    /// A call has ended that was sent at `sent`; where it needs the clock, at `now`.
    pub(crate) fn answered(&mut self, answered: Answered, sent: Time, now: Time) {
        let is_timed = self.needs_clock(answered);
        match answered {
            Answered::Whole => {
                self.answers += 1;
                if is_timed {
                    self.whole.add(now.since(sent));
                }
            }
            Answered::Began(after) => self.streams.add(after),
            Answered::Never => {}
        }
    }

    /// What half of the answers take no longer than, in nanoseconds; zero while too few are known.
    pub(crate) fn usual(&self, streaming: bool) -> u64 {
        let median = if streaming { self.streams } else { self.whole };
        if median.samples < ENOUGH {
            return 0;
        }
        // `as` saturates.
        median.nanos as u64
    }
}

impl Median {
    fn add(&mut self, nanos: u64) {
        let sample = nanos.max(1) as f64;
        self.samples = self.samples.saturating_add(1);
        let step = 1.0 + (1.0 / f64::from(self.samples)).max(STEP);
        if self.samples == 1 {
            self.nanos = sample;
        } else if sample > self.nanos {
            self.nanos = (self.nanos * step).min(sample);
        } else {
            self.nanos = (self.nanos / step).max(sample);
        }
    }
}

impl Answered {
    pub(crate) fn of(completion: &Completion) -> Self {
        match (completion.time_to_first_token, completion.outcome) {
            (Some(after), _) => Self::Began(nanos(after)),
            (None, Outcome::Complete) => Self::Whole,
            (None, _) => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many answers it takes until the usual time is within a half of what answers take now.
    fn follows(from: u64, to: u64) -> u64 {
        let mut times = AttemptTimes::default();
        let mut now = Time::ZERO;
        let mut answer = |tenth: u64, usual: u64| {
            let sent = now;
            // From eight to twelve tenths of what is usual.
            now = now.plus(usual * (8 + tenth % 5) / 10);
            times.answered(Answered::Whole, sent, now);
            times.usual(false)
        };
        for i in 0..2_000 {
            // One in sixteen is timed, and all figures are to be among them.
            answer(i / 16, from);
        }
        let close = to * 2 / 3..=to * 3 / 2;
        (0..20_000)
            .find(|i| close.contains(&answer(i / 16, to)))
            .unwrap_or(u64::MAX)
    }

    #[test]
    fn what_is_usual_follows_in_either_direction() {
        let (down, up) = (follows(30 * SECOND, SECOND), follows(SECOND, 30 * SECOND));
        assert!(down <= 1_000, "{down}");
        assert!(up <= 1_000, "{up}");
    }

    #[test]
    fn equal_answers_do_not_stop_it_from_following() {
        let mut times = AttemptTimes::default();
        let at = |seconds| Time::from_nanos(seconds * SECOND);
        for _ in 0..20_000 {
            times.answered(Answered::Whole, Time::ZERO, at(30));
        }
        for _ in 0..1_000 {
            times.answered(Answered::Whole, Time::ZERO, at(1));
        }
        assert!(times.usual(false) < 2 * SECOND, "{}", times.usual(false));
    }
}
