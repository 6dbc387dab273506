//! Streams of events: the commit point, honest ends, and what it all cost.

mod chunk;
mod converse;
mod event;
mod idle;
mod kept;

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use aws_sdk_bedrockruntime::{error::SdkError, primitives::event_stream::EventReceiver, types};
use aws_smithy_types::event_stream::RawMessage;
use futures_core::Stream;
use tokio::time::Duration;
use tower_bedrock_core::{
    Cacheable, Completion, HasCompletion, HasFault, History, Observers, Outcome,
};

pub use self::{event::StreamEvent, kept::KeptEvents};
use self::{
    event::{Meaning, Progress},
    idle::IdleTimer,
    kept::{Record, Replay},
};
use crate::{Error, error::Local, input::CallOptions};

/// The stream that `ConverseStream` answers with.
pub type ConverseEvents = EventStream<types::ConverseStreamOutput>;

/// The stream that `InvokeModelWithResponseStream` answers with.
pub type InvokeModelChunks = EventStream<types::ResponseStream>;

/// A model's answer, event by event.
///
/// ```no_run
/// use aws_sdk_bedrockruntime::types::ConverseStreamOutput as Event;
/// use tower_bedrock_service::{ConverseEvents, Error};
///
/// async fn print(mut events: ConverseEvents) -> Result<(), Error> {
///     while let Some(event) = events.recv().await? {
///         if let Event::ContentBlockDelta(delta) = event {
///             if let Some(Ok(text)) = delta.delta().map(|delta| delta.as_text()) {
///                 print!("{text}");
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// It is a [`Stream`] too, for whoever prefers combinators.
///
/// # Commit point
///
/// A service that answers with this stream has read ahead to the first event with content. A throttle, a
/// fault, a cut or an end before that is an `Err` of the call, so a policy can retry it or send it
/// elsewhere; the events read ahead are replayed in their order.
///
/// # Ends
///
/// The stream ends with `None` only when the answer is whole: after `messageStop`, or for `InvokeModel`
/// chunks after the one that carries Bedrock's metrics or the model's own last event. (Of models whose
/// JSON does not tell where it ends, any chunk may be the last.) An exception inside the stream, a cut
/// connection, a bad checksum, an early end and a stall are an `Err`, and then `None`. Once everything has
/// arrived, it does not matter any more how the connection ends.
///
/// # Observers
///
/// [`on_completion`](HasCompletion::on_completion) tells exactly once: when the last event has been read,
/// when the stream fails, or when it is dropped before. Usage comes with the last event, so a reader that
/// stops before it leaves the cost unknown.
pub struct EventStream<E: StreamEvent> {
    source: Source<E>,
    read_ahead: VecDeque<E>,
    /// Whether a reader has had an event.
    begun: bool,
    /// What is taken down for whoever keeps answers.
    record: Option<Record<E>>,
    progress: Progress,
    idle: IdleTimer,
    idle_timeout: Duration,
    observers: Observers,
    history: History,
    request_id: Option<String>,
}

/// Where events come from.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all streams are"
)]
enum Source<E: StreamEvent> {
    Bedrock(EventReceiver<E, E::Error>),
    /// An answer that was kept.
    Kept(Replay<E>),
    /// From nowhere: the connection is given back or closed as soon as it is not needed.
    Ended,
}

/// What the SDK's receiver answers.
type Received<T, E> = Result<Option<T>, SdkError<E, RawMessage>>;

/// Events read ahead before the stream counts as begun, come what may. Bedrock sends two; a peer that
/// never gets to the content must not fill the memory.
const MAX_READ_AHEAD: usize = 16;

/// After the last event the connection's end is waited for only so that the connection can be used again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

impl<E: StreamEvent> EventStream<E> {
    /// Reads ahead to the first content.
    pub(crate) async fn open(
        receiver: EventReceiver<E, E::Error>,
        request_id: Option<String>,
        options: CallOptions,
    ) -> Result<Self, Error> {
        let mut stream = Self::of(Source::Bedrock(receiver), options.idle_timeout, request_id);
        loop {
            let event = match poll_fn(|cx| stream.poll_receiver(cx)).await {
                Ok(Some(event)) => event,
                Ok(None) => return Err(stream.error(Error::local(Local::EndedBeforeContent))),
                Err(error) => return Err(stream.error(Error::from_stream(error))),
            };
            let meaning = stream.observe(&event);
            stream.read_ahead.push_back(event);
            if meaning.commits || stream.read_ahead.len() == MAX_READ_AHEAD {
                stream.observers.first_token(options.started.elapsed());
                return Ok(stream);
            }
        }
    }

    fn of(source: Source<E>, idle_timeout: Duration, request_id: Option<String>) -> Self {
        Self {
            source,
            read_ahead: VecDeque::new(),
            begun: false,
            record: None,
            progress: Progress::default(),
            idle: IdleTimer::default(),
            idle_timeout,
            observers: Observers::default(),
            history: History::default(),
            request_id,
        }
    }

    /// The next event; `None` at the end of the answer, and after an error.
    ///
    /// # Errors
    ///
    /// The stream broke off before the answer was whole. Nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn recv(&mut self) -> Result<Option<E>, Error> {
        poll_fn(|cx| self.poll_event(cx)).await.transpose()
    }

    /// The request id, for AWS support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<E, Error>>> {
        self.begun = true;
        if let Source::Kept(replay) = &mut self.source {
            let event = replay.next();
            if replay.is_at_end() {
                self.source = Source::Ended;
                self.complete();
            }
            return Poll::Ready(event.map(Ok));
        }
        if let Some(event) = self.read_ahead.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        let complete = self.progress.is_complete();
        match self.poll_receiver(cx) {
            Poll::Ready(Ok(Some(event))) => {
                self.idle.stop();
                self.observe(&event);
                Poll::Ready(Some(Ok(event)))
            }
            Poll::Ready(Ok(None)) if matches!(self.source, Source::Ended) => Poll::Ready(None),
            Poll::Ready(Ok(None)) if self.progress.is_whole() => self.end(),
            Poll::Ready(Ok(None)) => self.fail(Error::local(Local::EndedEarly)),
            Poll::Ready(Err(_)) if complete => self.end(),
            Poll::Ready(Err(error)) => self.fail(Error::from_stream(error)),
            Poll::Pending if complete => {
                ready!(self.idle.poll_wait(cx, DRAIN_TIMEOUT));
                self.end()
            }
            Poll::Pending => {
                let limit = self.idle_timeout;
                ready!(self.idle.poll_wait(cx, limit));
                let awaited = "further event";
                self.fail(Error::local(Local::TimedOut { awaited, limit }))
            }
        }
    }

    fn poll_receiver(&mut self, cx: &mut Context<'_>) -> Poll<Received<E, E::Error>> {
        match &mut self.source {
            // A new future at each poll: `recv` keeps what it has read in the receiver, never in itself.
            Source::Bedrock(receiver) => pin!(receiver.recv()).poll(cx),
            Source::Kept(_) | Source::Ended => Poll::Ready(Ok(None)),
        }
    }

    fn observe(&mut self, event: &E) -> Meaning {
        let meaning = event.meaning();
        self.progress.observe(&meaning);
        if let Some(usage) = meaning.usage {
            self.observers.usage(usage);
        }
        self.record = self.record.take().and_then(|record| record.with(event));
        if self.progress.is_complete() {
            self.complete();
        }
        meaning
    }

    /// The answer is whole, and everything of it has arrived.
    fn complete(&mut self) {
        if let Some(record) = self.record.take() {
            record.keep();
        }
        self.observers.finish(Outcome::Complete);
    }

    fn end(&mut self) -> Poll<Option<Result<E, Error>>> {
        self.source = Source::Ended;
        // Without the event that is always the last it may have been cut short: good enough for who reads it, but not
        // for all who ask later.
        if !self.progress.is_complete() {
            self.record = None;
        }
        self.complete();
        Poll::Ready(None)
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<E, Error>>> {
        let error = self.error(error);
        self.source = Source::Ended;
        self.record = None;
        self.observers.finish(Outcome::Failed(error.fault()));
        Poll::Ready(Some(Err(error)))
    }

    fn error(&self, error: Error) -> Error {
        error.with_request_id(self.request_id())
    }
}

impl<E: StreamEvent> Stream for EventStream<E> {
    type Item = Result<E, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl<E: StreamEvent> HasCompletion for EventStream<E> {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        self.observers.add(observer);
    }

    fn history(&self) -> Option<&History> {
        Some(&self.history)
    }

    fn history_mut(&mut self) -> Option<&mut History> {
        Some(&mut self.history)
    }
}

/// Kept are the events of an answer that came whole: the last one has arrived, which tells its cost. Of one that ends
/// without it, fails, is dropped before, is larger than 8 MiB or has parts whose size is not known (a guardrail's trace,
/// what a later SDK knows), nothing is. Nor where [`when_whole`](Cacheable::when_whole) is asked after the first event
/// was read. An event takes some hundred bytes more than its text.
///
/// A kept answer is a stream of the same events. Its `metadata` says what the answer cost when it was made; observers are
/// told of no usage, for it costs nothing when it is given again.
impl<E: StreamEvent> Cacheable for EventStream<E> {
    type Kept = KeptEvents<E>;

    fn when_whole<F>(mut self, keep: F) -> Self
    where
        F: FnOnce(KeptEvents<E>) + Send + 'static,
    {
        if self.begun {
            return self;
        }
        if let Source::Kept(replay) = &self.source {
            keep(replay.kept().clone());
            return self;
        }
        if let Some(record) = &mut self.record {
            record.and_then(keep);
            return self;
        }
        let mut events = self.read_ahead.iter();
        self.record = events.try_fold(Record::new(keep), Record::with);
        if self.progress.is_complete() {
            self.complete();
        }
        self
    }

    fn again(kept: KeptEvents<E>) -> Self {
        Self::of(Source::Kept(Replay::new(kept)), Duration::MAX, None)
    }
}

/// Shows no event: they hold what users are to read.
impl<E: StreamEvent> fmt::Debug for EventStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("read_ahead", &self.read_ahead.len())
            .field("progress", &self.progress)
            .field("ended", &matches!(self.source, Source::Ended))
            .field("observers", &self.observers)
            .field("history", &self.history)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
