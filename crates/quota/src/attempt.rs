use tower_bedrock_core::{Completion, Outcome};

use crate::time::{Time, nanos};

/// How long answers take on one key: what a call's deadline must leave when its wait is over. A stream is
/// answered when it begins, so streams are counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttemptTimes {
    whole: Spread,
    streams: Spread,
    /// From sent to settled, a stream's end included.
    lasts: Spread,
    /// Whole ones, and streams.
    answers: [u64; 2],
}

/// Mean and mean deviation of times, with the weights that TCP gives to round trips ([RFC 6298], section 2): it
/// follows a change either way within some thirty answers.
///
/// [RFC 6298]: https://www.rfc-editor.org/rfc/rfc6298#section-2
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    mean: f64,
    deviation: f64,
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

/// How many deviations above the mean nearly every answer is: all of them where all times from none to a
/// longest one are as likely, nine in ten where a few take much longer than most. TCP takes four, because to
/// send once more is worse than to wait; a call turned away too early is as bad as one let through too late.
const DEVIATIONS: f64 = 2.0;

/// No answer counts for more than so many times the mean, so that one of minutes turns nobody away.
const OUTLIER: f64 = 2.0;

/// After the first ones, one answer in so many is timed: the clock costs as much as all the rest of an end.
const SAMPLED: u64 = 16;

impl AttemptTimes {
    /// Whether an answer that ends so is to be timed by the clock.
    #[inline]
    pub(crate) fn needs_clock(&self, answered: Answered) -> bool {
        let answers = match answered {
            Answered::Whole => self.answers[0],
            Answered::Began(_) => self.answers[1],
            Answered::Never => return false,
        };
        answers < u64::from(ENOUGH) || answers.is_multiple_of(SAMPLED)
    }

    /// A call has ended that was sent at `sent`; where it needs the clock, at `now`.
    #[inline]
    pub(crate) fn answered(&mut self, answered: Answered, sent: Time, now: Time) {
        let timed = self.needs_clock(answered).then(|| now.since(sent));
        match answered {
            Answered::Whole => {
                self.answers[0] += 1;
                if let Some(took) = timed {
                    self.whole.add(took);
                }
            }
            Answered::Began(after) => {
                self.answers[1] += 1;
                self.streams.add(after);
            }
            Answered::Never => {}
        }
        if let Some(took) = timed {
            self.lasts.add(took);
        }
    }

    /// How long calls have been taking from sent to settled, in nanoseconds; zero while nothing is known.
    pub(crate) const fn lasts(&self) -> f64 {
        self.lasts.mean
    }

    /// What few answers take longer than, in nanoseconds; zero while too few are known.
    pub(crate) fn nearly_all(&self, streaming: bool) -> u64 {
        let times = if streaming { self.streams } else { self.whole };
        if times.samples < ENOUGH {
            return 0;
        }
        // `as` saturates.
        (times.mean + DEVIATIONS * times.deviation) as u64
    }
}

impl Spread {
    fn add(&mut self, nanos: u64) {
        let sample = nanos.max(1) as f64;
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.mean = sample;
            self.deviation = sample / 2.0;
            return;
        }
        let error = sample.min(OUTLIER * self.mean) - self.mean;
        self.deviation += (error.abs() - self.deviation) / 4.0;
        self.mean += error / 8.0;
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

    /// Answers that take one of `tenths` of a second, one after the other; what is left for one after all of them.
    fn after(times: &mut AttemptTimes, answers: u64, tenths: impl Fn(u64) -> u64) -> u64 {
        let sent = Time::ZERO;
        for i in 0..answers {
            // One in sixteen is timed, and all figures are to be among them.
            let ended = sent.plus(tenths(i / 16) * SECOND / 10);
            times.answered(Answered::Whole, sent, ended);
        }
        times.nearly_all(false)
    }

    #[test]
    fn nine_in_ten_take_no_longer_and_not_much_is_added() {
        // From one second to ten, all as likely; 37 goes through all of them.
        let even = |i| 10 + i * 37 % 91;
        for timed in 50..150 {
            let left = after(&mut AttemptTimes::default(), 16 * timed, even);
            assert!((75..=125).contains(&(left * 10 / SECOND)), "{left}");
        }
    }

    #[test]
    fn it_follows_in_either_direction() {
        let around = |tenths: u64| move |i: u64| tenths * (8 + i % 5) / 10;
        let mut times = AttemptTimes::default();
        let slow = after(&mut times, 2_000, around(300));
        assert!((30 * SECOND..45 * SECOND).contains(&slow), "{slow}");
        let quick = after(&mut times, 600, around(10));
        assert!((SECOND..2 * SECOND).contains(&quick), "{quick}");
        let slow = after(&mut times, 600, around(300));
        assert!((25 * SECOND..60 * SECOND).contains(&slow), "{slow}");
    }

    #[test]
    fn streams_take_no_samples_of_whole_answers() {
        let mut times = AttemptTimes::default();
        for _ in 0..1_000 {
            times.answered(
                Answered::Began(SECOND),
                Time::ZERO,
                Time::from_nanos(2 * SECOND),
            );
            times.answered(Answered::Whole, Time::ZERO, Time::from_nanos(5 * SECOND));
        }
        assert!((SECOND..2 * SECOND).contains(&times.nearly_all(true)));
        assert!((5 * SECOND..6 * SECOND).contains(&times.nearly_all(false)));
    }

    #[test]
    fn one_of_minutes_turns_nobody_away() {
        let mut times = AttemptTimes::default();
        after(&mut times, 2_000, |_| 70);
        let left = after(&mut times, 1, |_| 3_000);
        assert!(left < 13 * SECOND, "{left}");
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
        assert!(
            times.nearly_all(false) < 2 * SECOND,
            "{}",
            times.nearly_all(false)
        );
    }
}
