//! Streams taken down on their way through, for those who keep answers.

use bytes::{Bytes, BytesMut};

/// The longest stream that is kept.
const LONGEST: usize = 1024 * 1024;

/// What has gone to the client so far. Nothing is taken down where nobody keeps it.
#[derive(Default)]
pub(super) struct Record {
    frames: BytesMut,
    keepers: Vec<Box<dyn FnOnce(Bytes) + Send>>,
}

impl Record {
    /// Adds somebody who keeps the stream once it is whole.
    pub(super) fn keep_with(&mut self, keep: impl FnOnce(Bytes) + Send + 'static) {
        self.keepers.push(Box::new(keep));
    }

    /// Takes down what goes to the client next.
    pub(super) fn extend(&mut self, frames: &[u8]) {
        if self.keepers.is_empty() {
            return;
        }
        self.frames.extend_from_slice(frames);
        if self.frames.len() > LONGEST {
            *self = Self::default();
        }
    }

    /// The stream is whole.
    pub(super) fn keep(self) {
        let frames = self.frames.freeze();
        for keep in self.keepers {
            keep(frames.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn kept(keepers: usize, parts: &[&[u8]]) -> Vec<Bytes> {
        let (sender, kept) = mpsc::channel();
        let mut record = Record::default();
        for _ in 0..keepers {
            let sender = sender.clone();
            record.keep_with(move |frames| sender.send(frames).unwrap());
        }
        drop(sender);
        for part in parts {
            record.extend(part);
        }
        record.keep();
        kept.into_iter().collect()
    }

    #[test]
    fn each_who_keeps_it_gets_all() {
        for keepers in 0..3 {
            assert_eq!(
                kept(keepers, &[b"one", b"", b"two"]),
                vec!["onetwo"; keepers]
            );
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let longest = vec![0; LONGEST];
        assert!(kept(1, &[&longest])[0] == longest);
        assert!(kept(1, &[&longest, b"x", b"y"]).is_empty());
    }
}
