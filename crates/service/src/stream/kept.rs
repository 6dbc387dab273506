//! Answers that are kept whole, and given again as streams.

use std::{fmt, sync::Arc};

use super::event::{StreamEvent, sealed::Event};

/// The events of a whole answer. Clones share them. `Debug` shows how many they are, not what they say.
///
/// Those of an answer of your own, such as a canned one, become a stream as kept ones do:
///
/// ```
/// use aws_sdk_bedrockruntime::types::{
///     ContentBlockDelta, ContentBlockDeltaEvent, ConverseStreamOutput, MessageStopEvent, StopReason,
/// };
/// use tower_bedrock_core::Cacheable;
/// use tower_bedrock_service::{ConverseEvents, KeptEvents};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = ContentBlockDelta::Text("Please try again later.".to_owned());
/// let delta = ContentBlockDeltaEvent::builder().delta(text).content_block_index(0).build()?;
/// let stop = MessageStopEvent::builder().stop_reason(StopReason::EndTurn).build()?;
/// let canned = KeptEvents::new([
///     ConverseStreamOutput::ContentBlockDelta(delta),
///     ConverseStreamOutput::MessageStop(stop),
/// ]);
/// let stream = ConverseEvents::again(canned);
/// # let _ = stream;
/// # Ok(())
/// # }
/// ```
pub struct KeptEvents<E> {
    events: Arc<[E]>,
    bytes: usize,
}

impl<E: StreamEvent> KeptEvents<E> {
    /// An answer of these events, whatever they are.
    #[must_use]
    pub fn new(events: impl Into<Arc<[E]>>) -> Self {
        let events = events.into();
        let bytes = events.iter().map(size).try_fold(0, |sum: usize, bytes| {
            bytes.map(|bytes| sum.saturating_add(bytes))
        });
        Self {
            bytes: bytes.unwrap_or(usize::MAX),
            events,
        }
    }
}

/// What an event takes; `None` where that is not known.
fn size<E: Event>(event: &E) -> Option<usize> {
    Some(event.bytes()?.saturating_add(size_of::<E>()))
}

impl<E> KeptEvents<E> {
    /// About how much memory they take; [`usize::MAX`] where one has parts whose size is not known.
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

/// No answer is taken down beyond this size: each that is under way takes as much meanwhile.
const LARGEST: usize = 8 << 20;

type Keep<E> = Box<dyn FnOnce(KeptEvents<E>) + Send>;

/// What has passed of an answer so far. Dropped, where the answer breaks off.
pub(super) struct Record<E> {
    events: Vec<E>,
    bytes: usize,
    keep: Vec<Keep<E>>,
}

impl<E: Event> Record<E> {
    pub(super) fn new(keep: impl FnOnce(KeptEvents<E>) + Send + 'static) -> Self {
        Self {
            events: Vec::new(),
            bytes: 0,
            keep: vec![Box::new(keep)],
        }
    }

    /// Calls another one too.
    pub(super) fn and_then(&mut self, keep: impl FnOnce(KeptEvents<E>) + Send + 'static) {
        self.keep.push(Box::new(keep));
    }

    /// Takes an event down. Nothing is left of the record where it can't be: its size is not known, or the answer
    /// is too large.
    pub(super) fn with(mut self, event: &E) -> Option<Self> {
        self.bytes = self.bytes.saturating_add(size(event)?);
        self.events.push(event.clone());
        (self.bytes <= LARGEST).then_some(self)
    }

    /// The answer is whole.
    pub(super) fn keep(self) {
        let kept = KeptEvents {
            events: self.events.into(),
            bytes: self.bytes,
        };
        self.keep.into_iter().for_each(|keep| keep(kept.clone()));
    }
}
