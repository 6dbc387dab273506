//! Cuts an event stream into its frames, byte for byte as they were received.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};

/// A frame as it was received, and what it says.
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) message: Message,
}

/// A frame whose checksum, length or headers are wrong. What follows it cannot be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the event stream is corrupt")]
pub(super) struct Corrupt;

/// Bytes in, frames out.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

/// Total length, headers' length and a checksum of the two, four bytes each.
const PRELUDE: usize = 12;
/// The length of prelude and message checksum together.
const SMALLEST: usize = PRELUDE + 4;
/// The longest frame of an AWS event stream: 24 MB of payload and 128 KB of headers.
const LONGEST: usize = (24 * 1024 + 128) * 1024 + SMALLEST;

impl Frames {
    /// Takes what came over the wire.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Whether a part of a frame is left.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame, or `None` until more bytes have come.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Corrupt> {
        let Some(length) = self.next_length()? else {
            return Ok(None);
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(length).freeze();
        let decoded = MessageFrameDecoder::new().decode_frame(bytes.clone());
        match decoded {
            Ok(DecodedFrame::Complete(message)) => Ok(Some(Frame { bytes, message })),
            Ok(DecodedFrame::Incomplete) | Err(_) => Err(Corrupt),
        }
    }

    /// The prelude has a checksum of its own, so that nobody waits for a frame whose length is wrong.
    fn next_length(&self) -> Result<Option<usize>, Corrupt> {
        let Some(prelude) = self.buffer.get(..PRELUDE) else {
            return Ok(None);
        };
        let word = |at: usize| {
            prelude[at..at + 4]
                .iter()
                .fold(0, |n, b| n << 8 | u32::from(*b))
        };
        if crc32fast::hash(&prelude[..8]) != word(8) {
            return Err(Corrupt);
        }
        let length = word(0) as usize;
        if (SMALLEST..=LONGEST).contains(&length) {
            Ok(Some(length))
        } else {
            Err(Corrupt)
        }
    }
}

/// An exception as a frame, for a stream that broke without one.
pub(super) fn exception_frame(name: &'static str, message: &str) -> Bytes {
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    let header = |name: &'static str, value: &'static str| {
        Header::new(name, HeaderValue::String(value.into()))
    };
    let payload = serde_json::json!({ "message": message }).to_string();
    let message = Message::new(payload)
        .add_header(header(":message-type", "exception"))
        .add_header(header(":exception-type", name))
        .add_header(header(":content-type", "application/json"));
    let mut bytes = Vec::new();
    // Fails for headers and payloads longer than any here.
    let _ = aws_smithy_eventstream::frame::write_message_to(&message, &mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_frames() -> Vec<Bytes> {
        ["one", "two", "three"]
            .map(|text| exception_frame("throttlingException", text))
            .to_vec()
    }

    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_bytes_were_cut() {
        let frames = three_frames();
        let whole = frames.concat();
        for size in 1..whole.len() {
            let mut splitter = Frames::default();
            let mut seen = Vec::new();
            for chunk in whole.chunks(size) {
                splitter.push(chunk);
                while let Some(frame) = splitter.next().unwrap() {
                    seen.push(frame.bytes);
                }
            }
            assert_eq!(seen, frames, "chunks of {size}");
            assert!(splitter.is_empty());
        }
    }

    #[test]
    fn no_flipped_byte_goes_unseen() {
        let frame = &three_frames()[0];
        for at in 0..frame.len() {
            let mut bytes = frame.to_vec();
            bytes[at] ^= 1;
            let mut splitter = Frames::default();
            splitter.push(&bytes);
            assert!(splitter.next().is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_length_nobody_sends_is_refused_at_once() {
        for length in [0, 15, u32::MAX] {
            let mut prelude = [length.to_be_bytes(), [0; 4]].concat();
            prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
            let mut splitter = Frames::default();
            splitter.push(&prelude);
            assert!(splitter.next().is_err(), "length {length}");
        }
    }
}
