//! Cuts an event stream into its frames. They go on as they came, as many at once as there are.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Buf, Bytes, BytesMut};

/// A frame whose checksum, length or headers are wrong. What follows it cannot be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the event stream is corrupt")]
pub(super) struct Corrupt;

/// Bytes in, frames out.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// How much of the buffer are frames that have been looked at.
    seen: usize,
}

/// Total length, headers' length and a checksum of the two, four bytes each.
const PRELUDE: usize = 12;
/// The checksum of all that comes before it.
const CHECKSUM: usize = 4;
const SMALLEST: usize = PRELUDE + CHECKSUM;
/// The longest frame of an AWS event stream: 24 MB of payload and 128 KB of headers.
const LONGEST: usize = (24 * 1024 + 128) * 1024 + SMALLEST;

impl Frames {
    /// Takes what came over the wire.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Whether a part of a frame is left.
    pub(super) fn is_cut(&self) -> bool {
        self.buffer.len() > self.seen
    }

    /// Looks at the next frame, or answers `None` until more bytes have come.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Corrupt> {
        let rest = &self.buffer[self.seen..];
        let Some(prelude) = rest.get(..PRELUDE) else {
            return Ok(None);
        };
        let length = length(prelude)?;
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        let message = read_message_from(frame).map_err(|_| Corrupt)?;
        self.seen += length;
        Ok(Some(message))
    }

    /// The bytes of the frames that have been looked at and not been taken.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Takes the frames that have been looked at, byte for byte as they were received.
    pub(super) fn take(&mut self) -> Bytes {
        let seen = std::mem::take(&mut self.seen);
        self.buffer.split_to(seen).freeze()
    }
}

/// The length that a prelude tells. The library would look at the prelude's checksum once the whole frame is there, and
/// so wait for one whose length is wrong.
fn length(prelude: &[u8]) -> Result<usize, Corrupt> {
    let (mut told, mut checksum) = prelude.split_at(PRELUDE - CHECKSUM);
    let is_true = crc32fast::hash(told) == checksum.get_u32();
    let length = usize::try_from(told.get_u32()).map_err(|_| Corrupt)?;
    if is_true && (SMALLEST..=LONGEST).contains(&length) {
        Ok(length)
    } else {
        Err(Corrupt)
    }
}

/// An exception as a frame, for a stream that broke without one.
pub(super) fn exception_frame(name: &'static str, message: &str) -> Bytes {
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
    let _ = write_message_to(&message, &mut bytes);
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
                while splitter.next().unwrap().is_some() {
                    seen.push(splitter.take());
                }
            }
            assert_eq!(seen, frames, "chunks of {size}");
            assert!(!splitter.is_cut());
        }
    }

    #[test]
    fn frames_that_were_looked_at_are_taken_together() {
        let mut splitter = Frames::default();
        let frames = three_frames();
        splitter.push(&frames.concat());
        splitter.next().unwrap();
        splitter.next().unwrap();
        assert_eq!(splitter.take(), frames[..2].concat());
        assert!(splitter.is_cut() && splitter.seen() == 0);
        let third = splitter.next().unwrap().unwrap();
        assert_eq!(third.payload().as_ref(), br#"{"message":"three"}"#);
        assert_eq!(splitter.take(), frames[2]);
        assert_eq!(splitter.take(), "");
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
