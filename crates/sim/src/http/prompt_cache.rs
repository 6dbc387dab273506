//! Bedrock's prompt cache: what was read up to a cache point is cheaper to read again.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Duration;
use tower_bedrock_core::Region;

use super::prompt::Prompt;
use crate::{Call, Input, ServiceError, Simulator};

/// The fewest tokens worth caching: what most models ask for.
const LEAST: u64 = 1_024;

/// The most cache points that a request may have.
const MOST_POINTS: usize = 4;

/// How many prefixes are remembered. Past that all are forgotten, which costs a client nothing but a
/// cheaper read.
const CAPACITY: usize = 10_000;

/// The prefixes that were read before, and until when they are kept, in simulated time.
#[derive(Debug, Default)]
pub(super) struct PromptCache {
    kept: Mutex<HashMap<Prefix, Duration>>,
}

/// A prefix of a prompt, as one model in one Region has read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    region: Region,
    model: String,
    hash: u64,
}

/// The prefixes that a call leaves in the cache, if it is admitted, and for how long.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<(Prefix, Duration)>);

impl PromptCache {
    /// Tells a call's input apart: the longest prefix that is kept is read from the cache, what follows
    /// it up to the last cache point is written to it, and the rest is plain input.
    ///
    /// # Errors
    ///
    /// As a call gets that has too many cache points, or a model that cannot be called so.
    pub(super) fn look_up(
        &self,
        simulator: &Simulator,
        prompt: &Prompt,
        call: &mut Call,
    ) -> Result<Written, ServiceError> {
        let points = prompt.cache_points();
        if points.len() > MOST_POINTS {
            return Err(ServiceError::validation(format!(
                "A maximum of {MOST_POINTS} blocks with cache_control may be provided. Found {}.",
                points.len()
            )));
        }
        call.input = prompt.input();
        let mut written = Written::default();
        let mut cached = 0;
        for point in points {
            let tokens = simulator.count_tokens(&call.region, &call.model, &point.input)?;
            if tokens < LEAST {
                continue;
            }
            let prefix = Prefix {
                region: call.region.clone(),
                model: call.model.base().to_owned(),
                hash: point.prefix,
            };
            if self.is_kept(&prefix, simulator.now()) {
                call.cache_read_tokens = tokens;
            }
            cached = tokens;
            written.0.push((prefix, point.time_to_live));
        }
        if cached > 0 {
            let all = simulator.count_tokens(&call.region, &call.model, &prompt.input())?;
            call.input = Input::of_tokens(all.saturating_sub(cached));
            call.cache_write_tokens = cached.saturating_sub(call.cache_read_tokens);
        }
        Ok(written)
    }

    /// Keeps what a call that was admitted at `now` has read.
    pub(super) fn keep(&self, written: Written, now: Duration) {
        let mut kept = self.kept.lock();
        if kept.len().saturating_add(written.0.len()) > CAPACITY {
            kept.retain(|_, until| *until > now);
            if kept.len().saturating_add(written.0.len()) > CAPACITY {
                kept.clear();
            }
        }
        for (prefix, time_to_live) in written.0 {
            kept.insert(prefix, now.saturating_add(time_to_live));
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.kept.lock().clear();
    }

    fn is_kept(&self, prefix: &Prefix, now: Duration) -> bool {
        self.kept
            .lock()
            .get(prefix)
            .is_some_and(|until| *until > now)
    }
}
