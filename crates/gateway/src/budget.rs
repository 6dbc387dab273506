//! A bound on the memory that all bodies together may take.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that all bodies together may take. Clones share one budget.
///
/// A body that finds no room is turned away at once. Nobody waits: bodies that hold a part of the budget
/// and wait for the rest would wait for one another.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    semaphore: Arc<Semaphore>,
    bytes: usize,
}

/// A body as it comes in, within its own limit and the budget of all.
#[derive(Debug)]
pub(crate) struct Buffer {
    budget: Budget,
    limit: usize,
    bytes: Vec<u8>,
    /// As many permits as `bytes` has capacity.
    held: Option<OwnedSemaphorePermit>,
}

/// Why a body cannot grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// It is larger than any body may be.
    TooLarge,
    /// All bodies together take what they may.
    NoRoom,
}

/// The smallest step that a body grows by.
const STEP: usize = 512;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            semaphore: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// The bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.bytes - self.semaphore.available_permits()
    }

    /// An empty body that may grow to `limit` bytes.
    pub(crate) fn buffer(&self, limit: usize) -> Buffer {
        Buffer {
            budget: self.clone(),
            limit,
            bytes: Vec::new(),
            held: None,
        }
    }
}

impl Buffer {
    /// Adds a chunk, or leaves the body as it is.
    pub(crate) fn extend(&mut self, chunk: &[u8]) -> Result<(), Full> {
        let needed = self.bytes.len().saturating_add(chunk.len());
        if needed > self.limit {
            return Err(Full::TooLarge);
        }
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Doubles the capacity, so that a body is copied a few times and not with every chunk.
    fn grow(&mut self, needed: usize) -> Result<(), Full> {
        let doubled = self.bytes.capacity().saturating_mul(2).max(STEP);
        let capacity = doubled.min(self.limit).max(needed);
        let more = capacity - self.bytes.capacity();
        let more = u32::try_from(more).map_err(|_| Full::TooLarge)?;
        let permit = Arc::clone(&self.budget.semaphore)
            .try_acquire_many_owned(more)
            .map_err(|_| Full::NoRoom)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    /// The body. Its part of the budget is given back when the last clone of it is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        struct Held {
            bytes: Vec<u8>,
            _permit: Option<OwnedSemaphorePermit>,
        }

        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }

        Bytes::from_owner(Held {
            bytes: self.bytes,
            _permit: self.held,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_its_part_until_the_last_clone_is_dropped() {
        let budget = Budget::new(100);
        let mut buffer = budget.buffer(80);
        buffer.extend(&[1; 60]).unwrap();
        assert_eq!(budget.buffer(80).extend(&[1; 30]), Err(Full::NoRoom));

        let body = buffer.freeze();
        let clone = body.clone();
        drop(body);
        assert_eq!(budget.buffer(80).extend(&[1; 30]), Err(Full::NoRoom));
        drop(clone);
        assert_eq!(budget.buffer(80).extend(&[1; 80]), Ok(()));
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn the_limit_is_exact_and_a_refused_chunk_changes_nothing() {
        let mut buffer = Budget::new(usize::MAX).buffer(10);
        assert_eq!(buffer.extend(b"0123456789"), Ok(()));
        assert_eq!(buffer.extend(b"x"), Err(Full::TooLarge));
        assert_eq!(buffer.extend(b""), Ok(()));
        assert_eq!(buffer.freeze(), "0123456789");
    }

    #[test]
    fn what_is_held_is_what_is_allocated() {
        let budget = Budget::new(1_000_000);
        let mut buffer = budget.buffer(1_000_000);
        for _ in 0..100 {
            buffer.extend(&[0; 1_000]).unwrap();
            let held = budget.taken();
            assert_eq!(held, buffer.bytes.capacity());
        }
    }
}
