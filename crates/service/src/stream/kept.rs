//! Answers that are kept whole, and given again as streams.

use std::{fmt, sync::Arc};

use super::event::sealed::Event;

/// The events of a whole answer. Clones share them. `Debug` shows how many they are, not what they say.
pub struct KeptEvents<E> {
    events: Arc<[E]>,
    bytes: usize,
}

impl<E> KeptEvents<E> {
    /// About how much memory they take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Not derived: that would ask for `E: Clone`.
impl<E> Clone for KeptEvents<E> {
    fn clone(&self) -> Self {
        Self {
            events: Arc::clone(&self.events),
            bytes: self.bytes,
        }
    }
}

impl<E> fmt::Debug for KeptEvents<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptEvents")
            .field("events", &self.events.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

/// An answer that is given again.
pub(super) struct Replay<E> {
    kept: KeptEvents<E>,
    next: usize,
}

impl<E: Event> Replay<E> {
    pub(super) const fn new(kept: KeptEvents<E>) -> Self {
        Self { kept, next: 0 }
    }

    pub(super) const fn kept(&self) -> &KeptEvents<E> {
        &self.kept
    }

    pub(super) fn next(&mut self) -> Option<E> {
        let event = self.kept.events.get(self.next).cloned();
        self.next += usize::from(event.is_some());
        event
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.next == self.kept.events.len()
    }
}

/// No answer is taken down beyond this size: what no cache would keep must not fill the memory meanwhile.
const LARGEST: usize = 8 << 20;

/// What has passed of an answer so far. Dropped, where the answer breaks off.
pub(super) struct Record<E> {
    events: Vec<E>,
    bytes: usize,
    keep: Box<dyn FnOnce(KeptEvents<E>) + Send>,
}

impl<E: Event> Record<E> {
    pub(super) fn new(keep: impl FnOnce(KeptEvents<E>) + Send + 'static) -> Self {
        Self {
            events: Vec::new(),
            bytes: 0,
            keep: Box::new(keep),
        }
    }

    /// Takes an event down. Nothing is left of the record where it can't be: its size is not known, or the answer
    /// is too large.
    pub(super) fn with(mut self, event: &E) -> Option<Self> {
        let bytes = event.bytes()?.saturating_add(size_of::<E>());
        self.bytes = self.bytes.saturating_add(bytes);
        self.events.push(event.clone());
        (self.bytes <= LARGEST).then_some(self)
    }

    /// The answer is whole.
    pub(super) fn keep(self) {
        (self.keep)(KeptEvents {
            events: self.events.into(),
            bytes: self.bytes,
        });
    }
}
