use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower_bedrock_core::{BoxError, Completion, HasCompletion, History, TokenUsage};

use super::stream::EventStream;

/// Bedrock's answer to a call: status and headers, and a body that is whole or a stream that has committed.
///
/// `Debug` shows sizes, not text.
pub struct RawResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: RawBody,
    usage: Option<TokenUsage>,
    history: History,
}

/// The body of an answer.
pub(crate) enum RawBody {
    /// All of it.
    Whole(Bytes),
    /// The part that was read so far, and the rest as it comes.
    Rest(Rest),
    /// An event stream.
    Events(Box<EventStream>),
}

impl RawResponse {
    pub(super) fn new(
        status: StatusCode,
        headers: HeaderMap,
        body: RawBody,
        usage: Option<TokenUsage>,
    ) -> Self {
        Self {
            status,
            headers,
            body,
            usage,
            history: History::default(),
        }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers, without those that concern one connection only.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) const fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// An answer that was kept, given again: it has used no tokens.
    pub(crate) fn again(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let usage = Some(TokenUsage::default());
        Self::new(status, headers, RawBody::Whole(body), usage)
    }

    /// Has `keep` called with the body once it is whole: of a stream, with all its frames. An answer that is too
    /// large to be held here is too large to be kept.
    pub(crate) fn take_down(mut self, keep: impl FnOnce(Bytes) + Send + 'static) -> Self {
        match &mut self.body {
            // A copy, because the room of this one is lent by the budget for bodies.
            RawBody::Whole(body) => keep(Bytes::copy_from_slice(body)),
            RawBody::Rest(_) => {}
            RawBody::Events(events) => events.take_down(keep),
        }
        self
    }

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, RawBody) {
        (self.status, self.headers, self.body)
    }
}

impl HasCompletion for RawResponse {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        match &mut self.body {
            RawBody::Events(events) => events.observers().add(observer),
            RawBody::Whole(_) | RawBody::Rest(_) => observer(&Completion::complete(self.usage)),
        }
    }

    fn history(&self) -> Option<&History> {
        Some(&self.history)
    }

    fn history_mut(&mut self) -> Option<&mut History> {
        Some(&mut self.history)
    }
}

impl fmt::Debug for RawResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match &self.body {
            RawBody::Whole(bytes) => format!("{} bytes", bytes.len()),
            RawBody::Rest(_) => "streamed".to_owned(),
            RawBody::Events(_) => "events".to_owned(),
        };
        f.debug_struct("RawResponse")
            .field("status", &self.status)
            .field("body", &format_args!("{body}"))
            .field("usage", &self.usage)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// A body of which a part has been read already.
pub(crate) struct Rest {
    read: std::vec::IntoIter<Bytes>,
    coming: Incoming,
}

impl Rest {
    pub(super) fn new(read: Vec<Bytes>, coming: Incoming) -> Self {
        Self {
            read: read.into_iter(),
            coming,
        }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(read) = self.read.next() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        let frame = ready!(Pin::new(&mut self.coming).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self.read.as_slice().iter().map(Bytes::len).sum();
        match self.coming.size_hint().exact() {
            Some(coming) => SizeHint::with_exact(coming.saturating_add(read as u64)),
            None => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.len() == 0 && self.coming.is_end_stream()
    }
}
