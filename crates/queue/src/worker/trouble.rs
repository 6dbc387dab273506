//! Targets that turn every call away, whatever is called for: missing rights, an outage. A state machine of pauses.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};
use tower_bedrock_core::Target;

/// The targets that are paused. While one is, a call is let out to it now and then, at intervals that double until one
/// is answered.
#[derive(Debug, Default)]
pub(super) struct Troubles(HashMap<Target, Trouble>);

#[derive(Clone, Copy, Debug)]
struct Trouble {
    pause: Duration,
    until: Instant,
}

/// What a call that is let out knows of its target: only one that was let out at the pause of now makes it longer, and
/// not those that were under way when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Let(Option<Duration>);

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Targets that are kept in mind. Those beyond it are called as if nothing were wrong.
const MOST: usize = 1_000;

impl Troubles {
    /// How long a call to a target is to wait.
    pub(super) fn wait(&self, target: &Target, now: Instant) -> Duration {
        let trouble = self.0.get(target);
        trouble.map_or(Duration::ZERO, |trouble| {
            trouble.until.saturating_duration_since(now)
        })
    }

    /// Lets a call out. The next one to a target in trouble waits for as long again.
    pub(super) fn let_out(&mut self, target: &Target, now: Instant) -> Let {
        Let(self.0.get_mut(target).map(|trouble| {
            trouble.until = now + trouble.pause;
            trouble.pause
        }))
    }

    /// A call was turned away, by something that would turn away any other. Answers whether that is news.
    pub(super) fn turned_away(&mut self, target: &Target, call: Let, now: Instant) -> bool {
        let has_room = self.0.len() < MOST;
        match self.0.get_mut(target) {
            Some(trouble) => {
                if call.0 == Some(trouble.pause) {
                    trouble.pause = (trouble.pause * 2).min(LONGEST);
                    trouble.until = now + trouble.pause;
                }
                false
            }
            None if has_room => {
                let (pause, until) = (FIRST, now + FIRST);
                self.0.insert(target.clone(), Trouble { pause, until });
                true
            }
            None => false,
        }
    }

    /// A call was answered. Answers whether that is news.
    pub(super) fn answered(&mut self, target: &Target) -> bool {
        self.0.remove(target).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_end_with_an_answer() {
        let target = |model| Target::parse("us-east-1", model).unwrap();
        let (denied, fine) = (
            target("amazon.nova-pro-v1:0"),
            target("amazon.nova-lite-v1:0"),
        );
        let mut troubles = Troubles::default();
        let mut now = Instant::now();
        // Sixteen at once: one piece of news, and the first pause.
        let calls = [(); 16].map(|()| troubles.let_out(&denied, now));
        let news = calls.map(|call| troubles.turned_away(&denied, call, now));
        assert_eq!(news.iter().filter(|news| **news).count(), 1);
        for secs in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(secs);
            assert_eq!(troubles.wait(&denied, now), pause);
            now += pause;
            assert_eq!(troubles.wait(&denied, now), Duration::ZERO);
            let call = troubles.let_out(&denied, now);
            // One at a time.
            assert_eq!(troubles.wait(&denied, now), pause);
            assert!(!troubles.turned_away(&denied, call, now));
        }
        assert_eq!(troubles.wait(&fine, now), Duration::ZERO);
        assert!(!troubles.answered(&fine));
        assert!(troubles.answered(&denied));
        assert_eq!(troubles.wait(&denied, now), Duration::ZERO);
        assert!(troubles.0.is_empty());
    }
}
