//! The output, which is the journal too: what has its line there is finished.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    task::spawn_blocking,
    time::{Duration, Instant},
};

use super::{
    BatchError,
    input::{Ids, Input},
    record::{Record, answered},
};

/// A file that lines are added to, one whole line at a time. Clones write to the same.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Mutex<Journal>>);

#[derive(Debug)]
struct Journal {
    file: File,
    /// Where the last whole line ends.
    end: u64,
    synced: Instant,
}

/// How long what was written may be in the system's memory only. A process that is killed loses none of it; a
/// machine that loses its power does.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Output {
    /// Opens the output of an input, or makes it. Answers which records have their lines in it.
    ///
    /// What follows the last whole line was being written when a process died, and is cut off.
    ///
    /// # Errors
    ///
    /// The file cannot be had, another process writes to it, or it has a line that answers no record of the
    /// input: nothing is changed then.
    pub(super) fn open(
        path: &Path,
        input: &Input,
        ids: &Ids,
    ) -> Result<(Self, Vec<bool>), BatchError> {
        let unusable = |source| BatchError::Output {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BatchError::Busy(path.to_owned())),
            // Not every file system has locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let mut reader = BufReader::new(file);
        let mut finished = vec![false; input.len()];
        let mut end = 0;
        let mut line = Vec::new();
        let refusals = refusals(input).map_err(BatchError::Input)?;
        for number in 1u64.. {
            line.clear();
            let len = reader.read_until(b'\n', &mut line).map_err(unusable)?;
            if len == 0 {
                break;
            }
            let torn = !line.ends_with(b"\n");
            if torn {
                line.push(b'\n');
            }
            let index = match refusals.get(&line) {
                Some(index) => Some(*index),
                None => record_of(&line, input, ids).map_err(BatchError::Input)?,
            };
            match index {
                // Its record is done again, for only a whole line is known to be on its way to the disk.
                _ if torn && (index.is_some() || is_beginning(&line)) => break,
                Some(index) => finished[index] = true,
                None => return Err(BatchError::NotOurs(path.to_owned(), number)),
            }
            end += len as u64;
        }
        let mut file = reader.into_inner();
        file.set_len(end).map_err(unusable)?;
        file.seek(SeekFrom::Start(end)).map_err(unusable)?;
        let journal = Journal {
            file,
            end,
            synced: Instant::now(),
        };
        Ok((Self(Arc::new(Mutex::new(journal))), finished))
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// It cannot be written, and none of it is there.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the line is written all the same.
    pub(super) async fn append(&self, line: Vec<u8>) -> io::Result<()> {
        let this = self.clone();
        spawn_blocking(move || this.0.lock().append(&line))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Has all lines be on disk.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let this = self.clone();
        spawn_blocking(move || this.0.lock().file.sync_all())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Journal {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.write(line) {
            // A part of it may be there.
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            return Err(error);
        }
        self.end += line.len() as u64;
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }
}

/// What is not called for, by its lines of the output.
fn refusals(input: &Input) -> io::Result<HashMap<Vec<u8>, usize>> {
    let mut refusals = HashMap::new();
    for index in 0..input.len() {
        if let Some(line) = input.refusal(index)? {
            refusals.insert(line, index);
        }
    }
    Ok(refusals)
}

/// The record that a line answers: the same id, and the same input.
fn record_of(line: &[u8], input: &Input, ids: &Ids) -> io::Result<Option<usize>> {
    let Some((id, model_input)) = answered(line) else {
        return Ok(None);
    };
    let Some(index) = ids.get(&id) else {
        return Ok(None);
    };
    let same = |record: &Record<'_>| record.model_input.get() == model_input.get();
    Ok(input.with_record(*index, same)?.then_some(*index))
}

/// Whether a line may be the beginning of one of ours, rather than the whole of somebody else's.
fn is_beginning(line: &[u8]) -> bool {
    const BEGINNING: &[u8] = br#"{"recordId":"#;
    let text = line.trim_ascii_end();
    let common = text.len().min(BEGINNING.len());
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    text[..common] == BEGINNING[..common] && !whole
}
