//! The output, which is the journal too: what has its line there is finished.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    task::spawn_blocking,
    time::{Duration, MissedTickBehavior, interval},
};

use super::{
    BatchError,
    input::{Ids, Input},
    record::{Record, answered, is_same_input},
};

/// A file that lines are added to, one whole line at a time. Clones write to the same.
#[derive(Clone, Debug)]
pub(super) struct Output {
    journal: Arc<Mutex<Journal>>,
    /// To bring to disk what was written, while more is.
    file: Arc<File>,
    /// Something has been written that may not be on disk.
    is_dirty: Arc<AtomicBool>,
    /// Held while lines are brought to disk.
    has_failed: Arc<Mutex<bool>>,
    /// The records that have their lines. Changed while the journal is held; and never held for as long as a disk takes.
    finished: Arc<Mutex<Vec<bool>>>,
}

#[derive(Debug)]
struct Journal {
    file: Arc<File>,
    /// Where the last whole line ends.
    end: u64,
    /// A part of a line may follow.
    is_torn: bool,
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
        for number in 1u64.. {
            line.clear();
            let len = reader.read_until(b'\n', &mut line).map_err(unusable)?;
            if len == 0 {
                break;
            }
            let mut torn = !line.ends_with(b"\n");
            // Where the power went, a file may be longer than what had come to disk of it. No line of ours has a NUL.
            if let Some(nul) = line.iter().position(|byte| *byte == 0) {
                torn = true;
                let may_be_ours = number > 1 || nul > 0 || only_nuls(&line, &mut reader);
                if !may_be_ours {
                    return Err(BatchError::NotOurs(path.to_owned(), number));
                }
                line.truncate(nul);
            }
            let index = record_of(&line, input, ids).map_err(BatchError::Input)?;
            match index {
                // Its record is done again, for only a whole line is known to be on its way to the disk.
                _ if torn && (index.is_some() || is_beginning(&line)) => break,
                Some(index) => finished[index] = true,
                None => return Err(BatchError::NotOurs(path.to_owned(), number)),
            }
            end += len as u64;
        }
        let file = reader.into_inner();
        file.set_len(end).map_err(unusable)?;
        if end == 0 {
            sync_folder(path).map_err(unusable)?;
        }
        let file = Arc::new(file);
        let journal = Journal {
            file: Arc::clone(&file),
            end,
            // The first line is to begin at the end, too.
            is_torn: true,
        };
        let output = Self {
            journal: Arc::new(Mutex::new(journal)),
            file,
            is_dirty: Arc::default(),
            has_failed: Arc::default(),
            finished: Arc::new(Mutex::new(finished.clone())),
        };
        Ok((output, finished))
    }

    /// Adds a record's line, unless it has one. `count` is called where it is new.
    ///
    /// # Errors
    ///
    /// It cannot be written, and what is there of it is cut off by the next line, or by the next run.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the line is written, and counted, all the same.
    pub(super) async fn append(
        &self,
        index: usize,
        line: Vec<u8>,
        count: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let this = self.clone();
        let append = move || {
            let mut journal = this.journal.lock();
            if !this.is_finished(index) {
                journal.append(&line)?;
                if let Some(finished) = this.finished.lock().get_mut(index) {
                    *finished = true;
                }
                this.is_dirty.store(true, Ordering::Release);
                count();
            }
            Ok(())
        };
        spawn_blocking(append).await?
    }

    /// Whether a record has its line.
    pub(super) fn is_finished(&self, index: usize) -> bool {
        let finished = self.finished.lock();
        finished.get(index).is_some_and(|done| *done)
    }

    /// Has all lines be on disk.
    ///
    /// # Errors
    ///
    /// They are not, or were not at an earlier time: a system says so once, and has forgotten them then.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let this = self.clone();
        let sync = move || {
            let mut has_failed = this.has_failed.lock();
            if *has_failed {
                return Err(io::Error::other("lines were not brought to disk"));
            }
            this.is_dirty.store(false, Ordering::Release);
            this.file.sync_all().inspect_err(|_| *has_failed = true)
        };
        spawn_blocking(sync).await?
    }

    /// Brings lines to disk every second, until that fails.
    pub(super) async fn keep_synced(&self) -> io::Error {
        let mut ticks = interval(SYNC_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !self.is_dirty.load(Ordering::Acquire) {
                continue;
            }
            if let Err(error) = self.sync().await {
                return error;
            }
        }
    }
}

impl Journal {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = &*self.file;
        if self.is_torn {
            file.set_len(self.end)?;
            file.seek(SeekFrom::Start(self.end))?;
        }
        self.is_torn = true;
        file.write_all(line)?;
        self.is_torn = false;
        self.end += line.len() as u64;
        Ok(())
    }
}

/// Has a file that was just made be found after a power cut.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    match folder.sync_all() {
        // Not every file system can.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a line, and all that follows it, was never anything.
fn only_nuls(line: &[u8], rest: impl BufRead) -> bool {
    let is_nul = |byte: &u8| *byte == 0;
    line.iter().all(is_nul)
        && rest
            .bytes()
            .all(|byte| byte.is_ok_and(|byte| is_nul(&byte)))
}

/// The record that a line answers: the same id, and the same input; or the same line, where it refuses one.
fn record_of(line: &[u8], input: &Input, ids: &Ids) -> io::Result<Option<usize>> {
    let Some(answered) = answered(line) else {
        return Ok(None);
    };
    if let Some(number) = answered.refused_line {
        let refused = input.refused(number, &answered.id, answered.model_input)?;
        if refused.is_some() {
            return Ok(refused);
        }
    }
    let Some(index) = ids.get(&answered.id) else {
        return Ok(None);
    };
    let same = |record: &Record<'_>| is_same_input(record.model_input.get(), answered.model_input);
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

#[cfg(test)]
mod tests {
    use std::{fs, sync::atomic::AtomicU64};

    use super::*;

    /// An input of two records and its output.
    fn output() -> (tempfile::TempDir, Output) {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        fs::write(&input, "{\"modelInput\":{}}\n".repeat(2)).unwrap();
        let (input, ids) = Input::open(&input).unwrap();
        let (output, finished) = Output::open(&folder.path().join("out"), &input, &ids).unwrap();
        assert_eq!(finished, [false, false]);
        (folder, output)
    }

    #[tokio::test]
    async fn a_record_has_one_line_however_often_it_is_written_and_given_up() {
        let (folder, output) = output();
        let lines = Arc::new(AtomicU64::new(0));
        let count = || {
            let lines = Arc::clone(&lines);
            move || {
                lines.fetch_add(1, Ordering::Relaxed);
            }
        };
        let held = output.journal.lock();
        // The disk has stood still for too long: whoever waits for it goes away.
        let mut slow = Box::pin(output.append(1, b"slow\n".to_vec(), count()));
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        assert!(slow.as_mut().poll(&mut cx).is_pending());
        drop(slow);
        drop(held);
        output.append(1, b"slow\n".to_vec(), count()).await.unwrap();
        output
            .append(1, b"again\n".to_vec(), count())
            .await
            .unwrap();
        output
            .append(0, b"other\n".to_vec(), count())
            .await
            .unwrap();
        let written = fs::read_to_string(folder.path().join("out")).unwrap();
        assert_eq!(written, "slow\nother\n");
        assert_eq!(lines.load(Ordering::Relaxed), 2);
        assert!(output.is_finished(0) && output.is_finished(1));
    }

    #[tokio::test]
    async fn what_is_there_of_a_line_that_failed_is_cut_off_by_the_next() {
        let (folder, output) = output();
        output.append(0, b"first\n".to_vec(), || {}).await.unwrap();
        {
            let mut journal = output.journal.lock();
            (&*journal.file).write_all(b"half a li").unwrap();
            journal.is_torn = true;
        }
        output.append(1, b"second\n".to_vec(), || {}).await.unwrap();
        let written = fs::read_to_string(folder.path().join("out")).unwrap();
        assert_eq!(written, "first\nsecond\n");
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_brought_to_disk_though_none_follows() {
        let (_folder, output) = output();
        output.append(0, b"only\n".to_vec(), || {}).await.unwrap();
        assert!(output.is_dirty.load(Ordering::Acquire));
        let synced = async {
            while output.is_dirty.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            error = output.keep_synced() => panic!("{error}"),
            () = synced => {}
        }
    }
}
