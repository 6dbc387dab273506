//! A record as a call, and its answer as a line of the output.

use std::{
    num::ParseIntError,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use tower_bedrock_core::{
    BoxError, Classified, Fault, FaultKind, HasCompletion, HasFault, Invocation, Target,
};
use tower_bedrock_queue::{Codec, Message};

use super::{input::Input, record::RecordError};
use crate::{
    Operation,
    demand::demand,
    upstream::{Cause, READ_TIMEOUT, RawBody, RawRequest, RawResponse, UpstreamError, path_of},
};

/// Makes calls of records.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) input: Arc<Input>,
    pub(super) operation: Operation,
    pub(super) target: Target,
    pub(super) tokens: Arc<AtomicU64>,
}

/// The longest answer that is read to its end, where it is longer than `server.max_body_bytes`.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A message knows its record's number, and nothing of its text: that stays in the file until it is called for.
pub(super) fn message(index: usize) -> Message {
    Message::new(index.to_string(), Bytes::new())
}

/// The number of a message's record.
pub(super) fn index(message: &Message) -> Result<usize, ParseIntError> {
    index_of(message.key())
}

pub(super) fn index_of(key: &str) -> Result<usize, ParseIntError> {
    key.parse()
}

impl Codec for Calls {
    type Request = Invocation<RawRequest>;
    type Response = RawResponse;
    type Error = UpstreamError;

    fn request(&self, message: &Message) -> Result<Invocation<RawRequest>, BoxError> {
        let body = self.input.with_record(index(message)?, |record| {
            Bytes::copy_from_slice(record.model_input.get().as_bytes())
        })?;
        let demand = demand(self.operation, &body)?;
        let json = HeaderValue::from_static("application/json");
        let headers = [(header::CONTENT_TYPE, json.clone()), (header::ACCEPT, json)];
        let request = RawRequest::new(
            self.operation,
            self.target.model().clone(),
            path_of(self.operation, self.target.model())?,
            HeaderMap::from_iter(headers),
            body,
        )
        .with_max_output_tokens(demand.max_output_tokens());
        Ok(Invocation::new(self.target.clone(), request).with_demand(demand))
    }

    async fn result(&self, message: &Message, mut answer: RawResponse) -> Result<Bytes, BoxError> {
        let tokens = Arc::clone(&self.tokens);
        answer.on_completion(move |completion| {
            if let Some(usage) = completion.usage {
                tokens.fetch_add(usage.total(), Ordering::Relaxed);
            }
        });
        let (_, _, body) = answer.into_parts();
        let body = match body {
            RawBody::Whole(body) => body,
            RawBody::Rest(rest) => whole(rest).await?,
            RawBody::Events(_) => return Err("a stream is no answer of a batch".into()),
        };
        let output = serde_json::from_slice(&body)?;
        let line = self
            .input
            .with_record(index(message)?, |record| record.answer(output))
            // Not Bedrock's, so not a fault of the call that may be tried again.
            .map_err(|error| error.to_string())??;
        Ok(line.into())
    }

    fn detail(&self, error: UpstreamError) -> Option<Bytes> {
        serde_json::to_vec(&RecordError::of(error))
            .ok()
            .map(Bytes::from)
    }
}

/// Reads an answer to its end. One that breaks off or stalls may come whole the next time.
async fn whole<B>(rest: B) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut rest = Limited::new(rest, MAX_ANSWER_BYTES);
    let mut whole = BytesMut::new();
    while let Some(frame) = timeout(READ_TIMEOUT, rest.frame()).await? {
        let frame = frame.map_err(|error| -> BoxError {
            if error.is::<LengthLimitError>() {
                return error;
            }
            Classified::new(Fault::new(FaultKind::Transport), error).into()
        })?;
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

impl RecordError {
    /// What Bedrock said, or who said nothing and why.
    fn of(error: UpstreamError) -> Self {
        let kind = error.fault().kind();
        let mut exception = kind.exception().unwrap_or(kind.as_str()).to_owned();
        let own = error.to_string();
        let (status, message) = match error.into_cause().0 {
            Cause::Answer(answer) => {
                let message = message_of(&answer.body);
                (answer.status, message.unwrap_or(own))
            }
            Cause::Exception(said) => {
                exception = said.type_name().to_owned();
                (said.status(), said.message().to_owned())
            }
            Cause::NoAnswer(..) | Cause::Rejected(_) => (status_of(kind), own),
        };
        Self {
            error_code: status.as_u16(),
            error_message: format!("{exception}: {message}"),
        }
    }
}

fn message_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(alias = "Message")]
        message: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    Some(body.message)
}

/// What stands for a fault that came with no status.
const fn status_of(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::Validation => StatusCode::BAD_REQUEST,
        FaultKind::Timeout | FaultKind::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
        FaultKind::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn frames(
        parts: Vec<Result<&'static str, &'static str>>,
    ) -> impl stream::Stream<Item = Result<Frame<Bytes>, BoxError>> + Unpin {
        let frame = |part: &str| Frame::data(Bytes::copy_from_slice(part.as_bytes()));
        stream::iter(parts).map(move |part| part.map(frame).map_err(Into::into))
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_a_fault_and_not_an_answer() {
        let rest = StreamBody::new(frames(vec![Ok("{\"a\""), Ok(": 1}")]));
        assert_eq!(whole(rest).await.unwrap(), "{\"a\": 1}");
        let rest = StreamBody::new(frames(vec![Ok("{\"a\""), Err("reset")]));
        let error = whole(rest).await.unwrap_err();
        let fault = Fault::find(error.as_ref()).unwrap();
        assert_eq!(fault.kind(), FaultKind::Transport);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stalls_ends() {
        let rest = frames(vec![Ok("{")]).chain(stream::pending());
        let error = whole(StreamBody::new(rest)).await.unwrap_err();
        let fault = Fault::find(error.as_ref()).unwrap();
        assert_eq!(fault.kind(), FaultKind::Timeout);
    }
}
