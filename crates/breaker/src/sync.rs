//! The lock and the atomic of the concurrent part, which loom replaces by its own to try every interleaving.

#[cfg(not(all(test, loom)))]
pub(crate) use self::real::{AtomicU64, Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(crate) use self::checked::{AtomicU64, Mutex, MutexGuard};

#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::AtomicU64;
}

#[cfg(all(test, loom))]
mod checked {
    pub(crate) use loom::sync::{MutexGuard, atomic::AtomicU64};

    /// Loom's lock with the interface of `parking_lot`'s.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
