//! A streamed answer: each event when it is due, and what goes wrong on the way.

use std::{future::pending, io};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::{connection::Connection, event_stream, language::Writer};
use crate::{Admitted, At, Disruption, Plan, Step};

/// What is left of a stream. Dropping it, as happens when the client goes away, settles the call with
/// what was sent until then.
struct Streaming {
    /// `None` when it is over.
    admitted: Option<Admitted>,
    writer: Writer,
    connection: Option<Connection>,
    /// `None` before the stream's first event.
    deltas_sent: Option<u64>,
}

/// The body of a streamed answer.
pub(super) fn body(admitted: Admitted, writer: Writer, connection: Option<Connection>) -> Body {
    let streaming = Streaming {
        admitted: Some(admitted),
        writer,
        connection,
        deltas_sent: None,
    };
    Body::from_stream(stream::unfold(streaming, |mut streaming| async move {
        let frames = streaming.next().await?;
        Some((frames, streaming))
    }))
}

impl Streaming {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let admitted = self.admitted.as_ref()?;
        let plan = admitted.plan();
        let due = plan.due(self.deltas_sent.unwrap_or(0));
        admitted.wait_until(due).await;

        let step = match self.deltas_sent {
            None => start(plan),
            Some(sent) => Some(plan.step(sent)),
        };
        let frames = match step {
            None => {
                self.deltas_sent = Some(0);
                event_stream::encode(&self.writer.start(plan))
            }
            Some(Step::Delta(delta)) => {
                self.deltas_sent = self.deltas_sent.map(|sent| sent + 1);
                event_stream::encode(&self.writer.delta(&delta.text()))
            }
            Some(Step::End) => {
                let frames = event_stream::encode(&self.writer.end(plan));
                self.settle(Admitted::complete);
                frames
            }
            Some(Step::Disruption(Disruption::Exception(error))) => {
                let frame = event_stream::encode_exception(error, self.writer.model());
                self.settle(Admitted::fail);
                frame
            }
            Some(Step::Disruption(Disruption::Corrupt)) => {
                let frame = event_stream::encode_corrupt(&self.writer.delta("lost "));
                self.settle(Admitted::fail);
                frame
            }
            // Its place in the quotas is kept until the client gives up.
            Some(Step::Disruption(Disruption::Hang)) => pending().await,
            Some(Step::Disruption(Disruption::Reset)) => {
                self.settle(Admitted::fail);
                return Some(Err(cut(self.connection.as_ref()).await));
            }
        };
        Some(frames.map_err(io::Error::other))
    }

    fn settle(&mut self, ending: fn(Admitted)) {
        if let Some(admitted) = self.admitted.take() {
            ending(admitted);
        }
    }
}

/// What is to happen in place of the stream's first event, if anything.
fn start(plan: &Plan) -> Option<Step<'_>> {
    match plan.disruption() {
        Some((At::Answer | At::FirstEvent, disruption)) => Some(Step::Disruption(disruption)),
        _ => None,
    }
}

/// Cuts the connection. Where it is not ours to cut, the error that ends the body must do.
pub(super) async fn cut(connection: Option<&Connection>) -> io::Error {
    if let Some(connection) = connection {
        connection.reset();
        pending::<()>().await;
    }
    io::ErrorKind::ConnectionReset.into()
}
