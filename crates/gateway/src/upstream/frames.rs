//! Cuts an event stream into its frames. They are read where they lie, and go on as they came, as many at once as there are.
//!
//! `aws-smithy-eventstream` would make objects of a frame's headers. Here are two of them of interest, thirty times a
//! second for each client.

use bytes::{Bytes, BytesMut};

/// What a frame says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'b> {
    headers: &'b [u8],
    pub(super) payload: &'b [u8],
}

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
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, Corrupt> {
        let rest = &self.buffer[self.seen..];
        let Some(prelude) = rest.get(..PRELUDE) else {
            return Ok(None);
        };
        let length = length(prelude)?;
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        let (frame, checksum) = frame.split_at(length - CHECKSUM);
        if crc32fast::hash(frame) != word(checksum) {
            return Err(Corrupt);
        }
        let headers_length = word(&prelude[4..]) as usize;
        let (headers, payload) = frame[PRELUDE..]
            .split_at_checked(headers_length)
            .ok_or(Corrupt)?;
        Headers(headers).try_for_each(|header| {
            let (name, text) = header?;
            let is_text = |bytes: &[u8]| bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
            (is_text(name) && is_text(text))
                .then_some(())
                .ok_or(Corrupt)
        })?;
        self.seen += length;
        Ok(Some(Frame { headers, payload }))
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

impl<'b> Frame<'b> {
    /// The value of a header that is a text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &'b str {
        // That they can be read has been seen before.
        let mut headers = Headers(self.headers).flatten();
        let header = headers.find(|(other, _)| *other == name.as_bytes());
        header.map_or("", |(_, text)| {
            std::str::from_utf8(text).unwrap_or_default()
        })
    }
}

/// The length that a prelude tells. It has a checksum of its own, so that nobody waits for a frame whose length is wrong.
fn length(prelude: &[u8]) -> Result<usize, Corrupt> {
    let length = word(prelude) as usize;
    let is_true = crc32fast::hash(&prelude[..8]) == word(&prelude[8..]);
    if is_true && (SMALLEST..=LONGEST).contains(&length) {
        Ok(length)
    } else {
        Err(Corrupt)
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The names of headers and their values, empty where they are no texts. Whether texts are UTF-8 is not looked at.
struct Headers<'b>(&'b [u8]);

impl<'b> Headers<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self, size: usize) -> Result<usize, Corrupt> {
        Ok(word(self.take(size)?) as usize)
    }

    fn header(&mut self) -> Result<(&'b [u8], &'b [u8]), Corrupt> {
        let length = self.length(1)?;
        let name = self.take(length)?;
        let size = match self.length(1)? {
            // True and false.
            0 | 1 => 0,
            // Integers of 8 to 64 bits.
            2 => 1,
            3 => 2,
            4 => 4,
            5 => 8,
            // Bytes.
            6 => self.length(2)?,
            // A text.
            7 => {
                let length = self.length(2)?;
                return Ok((name, self.take(length)?));
            }
            // A time.
            8 => 8,
            // A UUID.
            9 => 16,
            _ => return Err(Corrupt),
        };
        self.take(size)?;
        Ok((name, b""))
    }
}

impl<'b> Iterator for Headers<'b> {
    type Item = Result<(&'b [u8], &'b [u8]), Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| {
            let header = self.header();
            if header.is_err() {
                self.0 = &[];
            }
            header
        })
    }
}

/// An exception as a frame, for a stream that broke without one.
pub(super) fn exception_frame(name: &'static str, message: &str) -> Bytes {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

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
    use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
    use aws_smithy_types::{
        DateTime,
        event_stream::{Header, HeaderValue, Message},
    };
    use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

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
        assert_eq!(third.header(":exception-type"), "throttlingException");
        assert_eq!(third.payload, br#"{"message":"three"}"#);
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

    fn any_value(random: &mut StdRng) -> HeaderValue {
        match random.random_range(0..9) {
            0 => HeaderValue::Bool(random.random()),
            1 => HeaderValue::Byte(random.random()),
            2 => HeaderValue::Int16(random.random()),
            3 => HeaderValue::Int32(random.random()),
            4 => HeaderValue::Int64(random.random()),
            5 => HeaderValue::ByteArray(vec![0xff; random.random_range(0..300)].into()),
            6 => HeaderValue::String("é".repeat(random.random_range(0..200)).into()),
            7 => HeaderValue::Timestamp(DateTime::from_secs(random.random_range(0..1 << 32))),
            _ => HeaderValue::Uuid(random.random()),
        }
    }

    /// `aws-smithy-eventstream` is the judge, of whole frames and of such with headers that cannot be.
    #[test]
    fn headers_are_read_as_the_library_reads_them() {
        let mut random = StdRng::seed_from_u64(11);
        let mut refused = 0;
        for _ in 0..2_000 {
            let names = ["a", ":message-type", "a-longer-one", "é"];
            let mut message = Message::new(vec![7; random.random_range(0..20)]);
            for _ in 0..random.random_range(0..5) {
                let name = *names.choose(&mut random).unwrap();
                message = message.add_header(Header::new(name, any_value(&mut random)));
            }
            let mut bytes = Vec::new();
            write_message_to(&message, &mut bytes).unwrap();
            let end = bytes.len() - CHECKSUM;
            if random.random() {
                // Broken by one who knows how checksums are made.
                let at = random.random_range(4..end);
                if !(8..PRELUDE).contains(&at) {
                    bytes[at] = random.next_u32() as u8;
                }
                let prelude = crc32fast::hash(&bytes[..8]).to_be_bytes();
                bytes[8..PRELUDE].copy_from_slice(&prelude);
                let checksum = crc32fast::hash(&bytes[..end]).to_be_bytes();
                bytes[end..].copy_from_slice(&checksum);
            }

            let mut frames = Frames::default();
            frames.push(&bytes);
            let frame = frames.next();
            let expected = std::panic::catch_unwind(|| read_message_from(bytes.as_slice()));
            let Ok(Ok(expected)) = expected else {
                assert!(frame.is_err());
                refused += 1;
                continue;
            };
            let frame = frame.unwrap().unwrap();
            assert_eq!(frame.payload, expected.payload());
            for name in names {
                let first = expected
                    .headers()
                    .iter()
                    .find(|header| header.name().as_str() == name);
                let text = first.and_then(|header| header.value().as_string().ok());
                assert_eq!(frame.header(name), text.map_or("", |text| text.as_str()));
            }
        }
        assert!((100..1_500).contains(&refused), "{refused} refused");
    }
}
