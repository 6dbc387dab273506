use tokio::time::Duration;

use super::window::{Taken, Window};
use crate::{QuotaLevel, WindowShape};

/// A limit on one thing over one period, or the absence of one.
#[derive(Debug)]
pub(crate) struct Limit {
    period: Duration,
    shape: WindowShape,
    window: Option<Window>,
    windows_made: u64,
}

impl Limit {
    /// No limit, for now.
    pub(crate) const fn per(period: Duration, shape: WindowShape) -> Self {
        Self {
            period,
            shape,
            window: None,
            windows_made: 0,
        }
    }

    /// Changes the limit and keeps what is used, or takes the limit away.
    pub(crate) fn set(&mut self, limit: Option<u64>, now: Duration) {
        match (limit, &mut self.window) {
            (Some(limit), Some(window)) => window.set_limit(limit, now),
            (limit, window) => {
                *window = None;
                if let Some(limit) = limit {
                    self.begin(limit, now);
                }
            }
        }
    }

    /// Begins anew in another shape. The shape it has already changes nothing.
    pub(crate) fn set_shape(&mut self, shape: WindowShape, now: Duration) {
        if shape != self.shape {
            self.shape = shape;
            self.reset(now);
        }
    }

    /// Forgets what is used. What is outstanding will not be settled here.
    pub(crate) fn reset(&mut self, now: Duration) {
        if let Some(limit) = self.window.as_ref().map(Window::limit) {
            self.begin(limit, now);
        }
    }

    fn begin(&mut self, limit: u64, now: Duration) {
        self.windows_made += 1;
        self.window = Some(Window::new(
            self.shape,
            self.period,
            limit,
            self.windows_made,
            now,
        ));
    }

    /// What there is room for.
    pub(crate) fn room(&mut self, now: Duration) -> u64 {
        self.window
            .as_mut()
            .map_or(u64::MAX, |window| window.room(now))
    }

    /// Takes an amount, whether there is room or not.
    pub(crate) fn take(&mut self, now: Duration, amount: u64) -> Option<Taken> {
        self.window.as_mut().map(|window| window.take(now, amount))
    }

    /// Puts what it cost in the end in place of what was taken.
    pub(crate) fn settle(&mut self, now: Duration, taken: Option<Taken>, actual: u64) {
        if let (Some(window), Some(taken)) = (&mut self.window, taken) {
            window.settle(now, taken, actual);
        }
    }

    pub(crate) fn level(&mut self, now: Duration) -> Option<QuotaLevel> {
        self.window.as_mut().map(|window| QuotaLevel {
            used: u64::try_from(window.used(now)).unwrap_or(u64::MAX),
            limit: window.limit(),
        })
    }
}
