//! The lock and the atomic of the concurrent part, which loom replaces by its own to try every interleaving.

#[cfg(not(all(test, loom)))]
pub(crate) use self::real::{AtomicU64, Mutex};

#[cfg(all(test, loom))]
pub(crate) use self::checked::{AtomicU64, Mutex};

#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::AtomicU64;
}

#[cfg(all(test, loom))]
mod checked {
    pub(crate) use loom::sync::atomic::AtomicU64;

    /// Loom's lock with the interface of `parking_lot`'s.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
