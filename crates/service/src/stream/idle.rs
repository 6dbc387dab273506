//! The time between two events.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// Runs only while a reader waits: a reader that takes its time between two events is no stall.
#[derive(Debug, Default)]
pub(crate) struct IdleTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl IdleTimer {
    /// An event has arrived.
    pub(crate) fn stop(&mut self) {
        self.running = false;
    }

    /// The reader waits. Ready when it has done so for `limit`, counted from the first poll after
    /// [`stop`](Self::stop).
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now())));
        if !self.running {
            self.running = true;
            sleep.as_mut().reset(Instant::now() + limit);
        }
        sleep.as_mut().poll(cx)
    }
}
