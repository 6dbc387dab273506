use std::{convert::Infallible, fmt};

use parking_lot::Mutex;
use rand::{Rng, TryRng};

/// The one source that all sessions of a layer draw from: each draw moves it on, so no two sessions see
/// the same sequence.
#[derive(Default)]
pub(crate) enum Random {
    /// Of the thread, so nothing is shared.
    #[default]
    Thread,
    Injected(Mutex<Box<dyn Rng + Send>>),
}

impl Random {
    pub(crate) fn injected(rng: impl Rng + Send + 'static) -> Self {
        Self::Injected(Mutex::new(Box::new(rng)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut dyn Rng) -> T) -> T {
        match self {
            Self::Thread => draw(&mut rand::rng()),
            Self::Injected(rng) => draw(&mut **rng.lock()),
        }
    }
}

/// Locked for one number at a time, and never across a decision.
impl TryRng for &Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.draw(|rng| rng.next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw(|rng| rng.next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.draw(|rng| rng.fill_bytes(bytes));
        Ok(())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "Thread",
            Self::Injected(_) => "Injected(..)",
        })
    }
}
