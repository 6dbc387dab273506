//! `application/vnd.amazon.eventstream`: the frames of a streamed answer.

use aws_smithy_eventstream::{error::Error, frame::write_message_to};
use aws_smithy_types::{
    event_stream::{Header, HeaderValue, Message},
    str_bytes::StrBytes,
};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use crate::ServiceError;

/// The content type of the whole stream.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// An event of a stream, its payload in JSON.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) payload: Value,
}

/// Several events, one behind the other.
pub(super) fn encode(events: &[Event]) -> Result<Bytes, Error> {
    let mut buffer = BytesMut::new();
    for event in events {
        write(
            "event",
            ":event-type",
            event.name.into(),
            &event.payload,
            &mut buffer,
        )?;
    }
    Ok(buffer.freeze())
}

/// An exception inside a stream whose status said 200 long ago.
pub(super) fn encode_exception(error: &ServiceError, model: &str) -> Result<Bytes, Error> {
    let mut buffer = BytesMut::new();
    write(
        "exception",
        ":exception-type",
        error.exception().frame_name().into(),
        &super::error::body(error, model),
        &mut buffer,
    )?;
    Ok(buffer.freeze())
}

/// Several events, the last one's checksum wrong.
pub(super) fn encode_corrupt(events: &[Event]) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::from(encode(events)?);
    // A message ends with its checksum.
    if let Some(last) = bytes.last_mut() {
        *last ^= 0xff;
    }
    Ok(bytes.freeze())
}

fn write(
    message_type: &'static str,
    name_header: &'static str,
    name: StrBytes,
    payload: &Value,
    buffer: &mut dyn BufMut,
) -> Result<(), Error> {
    let message = Message::new(payload.to_string())
        .add_header(Header::new(name_header, HeaderValue::String(name)))
        .add_header(Header::new(
            ":content-type",
            HeaderValue::String("application/json".into()),
        ))
        .add_header(Header::new(
            ":message-type",
            HeaderValue::String(message_type.into()),
        ));
    write_message_to(&message, buffer)
}
