//! An event stream on its way through: the bytes are forwarded as they are, and each frame tells where the stream
//! stands.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame};
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, Sleep};
use tower_bedrock_core::{BoxError, Fault, FaultKind, HasFault, Observers, Outcome};

use super::{
    UpstreamError,
    frames::{Corrupt, Frames, exception_frame},
    protocol::{self, Meaning},
    record::Record,
};
use crate::{Operation, failure::log_failure};

/// A stream that has committed: its first content is at hand, so what fails from here on can't be an
/// error of the call any more. It ends in one of three ways:
///
/// - whole: after the event that says so. Once the last event has come, with what the answer cost, it does not matter any
///   more how the connection ends;
/// - with Bedrock's own exception, forwarded as it is;
/// - cut short, by a connection that broke, a corrupt frame or an end before the answer was whole: then
///   an exception is added, and the body is broken off, so that nobody takes it for a clean end.
///
/// Dropping it closes the connection to Bedrock.
pub(crate) struct EventStream {
    /// `None` once it has nothing more to say. The connection to Bedrock goes with it.
    source: Option<Source>,
    /// How often others have been let go first since the last frame came. What came meanwhile goes out in one piece
    /// with it.
    yields: u8,
    /// Set while the added exception is on its way to the client: breaking off at once would overtake it.
    breaking: Option<Pin<Box<Sleep>>>,
    observers: Observers,
    record: Record,
}

/// How long a broken stream is held open for its last frame to be sent. A client that reads it hangs up
/// of its own accord.
const GRACE: Duration = Duration::from_millis(250);

/// After the last event the connection's end is waited for only so that the connection can be used again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// More than any opening has. A stream with a longer one counts as begun.
const LONGEST_OPENING: usize = 256 * 1024;

/// How often others are let go first. Once would do, if hyper's server did not ask twice before it lets anybody go.
const YIELDS: u8 = 2;

/// As much as goes out in one piece, but for a frame that is longer.
const LONGEST_PIECE: usize = 16 * 1024;

/// The body of a stream that was cut short.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut short")]
struct CutShort;

impl EventStream {
    /// Reads until the stream commits.
    ///
    /// # Errors
    ///
    /// An exception, a cut or a corrupt frame before the first content, as any error of a call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection to Bedrock.
    pub(super) async fn commit(
        operation: Operation,
        body: Incoming,
        started: Instant,
        read_timeout: Duration,
    ) -> Result<Self, UpstreamError> {
        let mut source = Source::new(operation, body, read_timeout);
        let mut observers = Observers::default();
        loop {
            let Some(meaning) = poll_fn(|cx| source.poll_event(cx)).await? else {
                return Err(Broken::Early.into());
            };
            if let Meaning::Failure(exception) = meaning {
                return Err(UpstreamError::exception(exception));
            }
            note_cost(&meaning, &mut observers);
            if meaning == Meaning::Content {
                observers.first_token(started.elapsed());
            }
            // An answer without content is whole all the same.
            if meaning == Meaning::Content
                || source.progress.whole
                || source.frames.seen() > LONGEST_OPENING
            {
                return Ok(Self {
                    source: Some(source),
                    // The client has waited for this one.
                    yields: YIELDS,
                    breaking: None,
                    observers,
                    record: Record::default(),
                });
            }
        }
    }

    pub(super) fn observers(&mut self) -> &mut Observers {
        &mut self.observers
    }

    /// Has `keep` called with all frames when the stream has ended whole. To be called before any have been read.
    pub(super) fn take_down(&mut self, keep: impl FnOnce(Bytes) + Send + 'static) {
        self.record.keep_with(keep);
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let frames = ready!(self.poll_data(cx));
        if let Some(Ok(frames)) = &frames {
            self.record.extend(frames);
        }
        Poll::Ready(frames)
    }

    /// The frames that have come. A write of its own for each would cost more than all else about them, so that one
    /// which others may follow at once waits for these; but it does not wait for Bedrock.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some(grace) = &mut self.breaking {
            ready!(grace.as_mut().poll(cx));
            self.breaking = None;
            return Poll::Ready(Some(Err(CutShort.into())));
        }
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        while source.frames.seen() < LONGEST_PIECE {
            match source.poll_event(cx) {
                // Bedrock says itself that the stream has failed; nothing that follows counts.
                Poll::Ready(Ok(Some(Meaning::Failure(exception)))) => {
                    let frames = source.frames.take();
                    self.finish(Outcome::Failed(exception.fault()));
                    return Poll::Ready(Some(Ok(frames)));
                }
                Poll::Ready(Ok(Some(meaning))) => {
                    note_cost(&meaning, &mut self.observers);
                    self.yields = 0;
                }
                // It is found again once these are gone.
                Poll::Ready(Ok(None)) if source.frames.seen() > 0 => break,
                Poll::Ready(Ok(None)) if source.progress.whole => {
                    // Without its last event it may have been cut short: good enough for this client, but not for all
                    // who ask later.
                    if source.progress.complete {
                        std::mem::take(&mut self.record).keep();
                    }
                    self.finish(Outcome::Complete);
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(None)) => {
                    return Poll::Ready(Some(Ok(self.break_off(&Broken::Early))));
                }
                Poll::Ready(Err(broken)) => {
                    return Poll::Ready(Some(Ok(self.break_off(&broken))));
                }
                Poll::Pending if source.frames.seen() == 0 => return Poll::Pending,
                Poll::Pending if self.yields == YIELDS => break,
                Poll::Pending => {
                    self.yields += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Some(Ok(source.frames.take())))
    }

    /// Returns the last frames that a broken stream's client gets: those at hand, and an exception that both streaming
    /// operations know, so that SDKs raise it.
    fn break_off(&mut self, broken: &Broken) -> Bytes {
        let frames = self.source.as_mut().map(|source| source.frames.take());
        log_failure(broken);
        self.finish(Outcome::Failed(broken.fault()));
        self.breaking = Some(Box::pin(tokio::time::sleep(GRACE)));
        let message = format!("The answer is not complete: {broken}.");
        let exception = exception_frame("modelStreamErrorException", &message);
        [frames.unwrap_or_default(), exception].concat().into()
    }

    fn finish(&mut self, outcome: Outcome) {
        self.source = None;
        self.observers.finish(outcome);
    }
}

/// Notes what an event tells of the cost.
fn note_cost(meaning: &Meaning, observers: &mut Observers) {
    if let Meaning::Whole(Some(usage)) | Meaning::Cost(Some(usage)) = meaning {
        observers.usage(*usage);
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        self.poll_frames(cx).map_ok(BodyFrame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none() && self.breaking.is_none()
    }
}

impl Drop for EventStream {
    /// A client that hangs up once the answer is whole has not cut it short.
    fn drop(&mut self) {
        let is_whole = |source: &Source| source.progress.whole;
        if self.source.as_ref().is_some_and(is_whole) {
            self.observers.finish(Outcome::Complete);
        }
    }
}

// === where the frames come from ===

struct Source {
    operation: Operation,
    body: Incoming,
    frames: Frames,
    progress: Progress,
    read_timeout: Duration,
    /// Whether the body has ended.
    ended: bool,
    /// Runs out when nothing may have come for too long. Set anew only then: most frames are soon followed by others.
    silence: Pin<Box<Sleep>>,
    /// Since when somebody waits. A client that is slow to read is not Bedrock's silence.
    waiting: Option<Instant>,
}

/// How far the answer has come.
#[derive(Default)]
struct Progress {
    /// Bedrock has said that the answer is whole. What may follow is its cost.
    whole: bool,
    /// The last event has come, which tells the cost.
    complete: bool,
}

impl Progress {
    fn observe(&mut self, meaning: &Meaning) {
        match meaning {
            Meaning::Whole(cost) => {
                self.whole = true;
                self.complete |= cost.is_some();
            }
            Meaning::Cost(_) => self.complete |= self.whole,
            Meaning::Opening | Meaning::Content | Meaning::Failure(_) => {}
        }
    }
}

impl Source {
    fn new(operation: Operation, body: Incoming, read_timeout: Duration) -> Self {
        Self {
            operation,
            body,
            frames: Frames::default(),
            progress: Progress::default(),
            read_timeout,
            silence: Box::pin(tokio::time::sleep(read_timeout)),
            ended: false,
            waiting: None,
        }
    }

    /// What the next frame means; `None` at the end of the body, or what stands for it once all has come.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Meaning>, Broken>> {
        match ready!(self.poll_frame(cx)) {
            Err(_) if self.progress.complete => Poll::Ready(Ok(None)),
            event => Poll::Ready(event),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Meaning>, Broken>> {
        loop {
            if let Some(frame) = self.frames.next()? {
                let meaning = protocol::read(self.operation, &frame);
                self.progress.observe(&meaning);
                return Poll::Ready(Ok(Some(meaning)));
            }
            if self.ended {
                return Poll::Ready(if self.frames.is_cut() {
                    Err(Broken::Early)
                } else {
                    Ok(None)
                });
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = None;
                    if let Ok(data) = frame.into_data() {
                        self.frames.push(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Broken::Connection(error)));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => {
                    ready!(self.poll_silence(cx));
                    return Poll::Ready(Err(Broken::Silent));
                }
            }
        }
    }

    /// Ready once nothing has come for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let patience = match self.progress.complete {
            true => DRAIN_TIMEOUT.min(self.read_timeout),
            false => self.read_timeout,
        };
        let until = since + patience;
        if self.silence.deadline() > until {
            self.silence.as_mut().reset(until);
        }
        loop {
            ready!(self.silence.as_mut().poll(cx));
            if self.silence.deadline() >= until {
                return Poll::Ready(());
            }
            self.silence.as_mut().reset(until);
        }
    }
}

/// Why a stream ended that was not whole.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection to Bedrock broke")]
    Connection(#[source] hyper::Error),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error("the stream ended early")]
    Early,
    #[error("the stream stalled")]
    Silent,
}

impl HasFault for Broken {
    fn fault(&self) -> Fault {
        Fault::new(match self {
            Self::Connection(_) | Self::Corrupt(_) | Self::Early => FaultKind::Transport,
            Self::Silent => FaultKind::Timeout,
        })
    }
}

impl From<Broken> for UpstreamError {
    fn from(broken: Broken) -> Self {
        let kind = broken.fault().kind();
        UpstreamError::no_answer("the stream broke before its first content", broken, kind)
    }
}
