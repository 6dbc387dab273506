//! What time it is, read as seldom as will do.
//!
//! Reading a clock costs tens of nanoseconds, often more than all else that a policy does with a call, and most
//! policies of a stack want to know the time. Within one poll of a call it is the same for all of them: whoever
//! stands outermost [shares](share) one reading between all that ask [`now`] inside.
//!
//! ```
//! use tower_bedrock_core::clock;
//!
//! let shared = clock::share();
//! let first = clock::now();
//! assert_eq!(clock::now(), first);
//! drop(shared);
//! ```
//!
//! A reading is never shared between polls, since a call may lie between them for as long as it likes. In paused
//! time nothing changes: that does not go by within a poll.

use std::{cell::Cell, marker::PhantomData};

use tokio::time::Instant;

thread_local! {
    static READING: Cell<Reading> = const { Cell::new(Reading::Unshared) };
}

#[derive(Clone, Copy)]
enum Reading {
    Unshared,
    /// To be shared, once somebody asks.
    Due,
    At(Instant),
}

/// Until it is dropped, one reading of the clock is shared. Made by [`share`].
#[derive(Debug)]
#[must_use = "readings are shared until this is dropped"]
pub struct Shared {
    outermost: bool,
    /// It is of this thread.
    _thread: PhantomData<*const ()>,
}

/// Shares one reading of the clock between all who ask, until the guard is dropped: at the end of one call of a
/// service, or of one poll of its future. Within another one it changes nothing.
#[inline]
pub fn share() -> Shared {
    let outermost = matches!(READING.get(), Reading::Unshared);
    if outermost {
        READING.set(Reading::Due);
    }
    Shared {
        outermost,
        _thread: PhantomData,
    }
}

impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        if self.outermost {
            READING.set(Reading::Unshared);
        }
    }
}

/// The time: as somebody read it already, where the reading is [shared](share).
#[inline]
#[must_use]
pub fn now() -> Instant {
    match READING.get() {
        Reading::At(reading) => reading,
        Reading::Due => read(),
        Reading::Unshared => Instant::now(),
    }
}

/// The time, read anew, and shared from here on: for whoever comes back from something that may have taken long, or
/// has seen a timer ring, which goes by a later reading than may have been shared.
#[inline]
pub fn read() -> Instant {
    let now = Instant::now();
    if !matches!(READING.get(), Reading::Unshared) {
        READING.set(Reading::At(now));
    }
    now
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use tokio::time::{Duration, advance};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_reading_is_shared_until_it_is_read_anew() {
        let before = now();
        let shared = share();
        assert_eq!(now(), before);
        // Time goes by within a poll only where somebody computes.
        advance(SECOND).await;
        assert_eq!(now(), before);
        drop(share());
        assert_eq!(now(), before, "one within another ends nothing");
        assert_eq!(read(), before + SECOND);
        assert_eq!(now(), before + SECOND);
        drop(shared);
        advance(SECOND).await;
        assert_eq!(now(), before + 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_shared_once_it_has_panicked() {
        let panicked = catch_unwind(|| {
            let _shared = share();
            let _ = now();
            panic!("while it is shared");
        });
        assert!(panicked.is_err());
        let before = now();
        advance(SECOND).await;
        assert_eq!(now(), before + SECOND);
        assert_eq!(read(), before + SECOND);
    }
}
