//! The input: where its records are.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::record::{Record, is_same_input, of_refused, refusal};

/// A file of records. Their places are kept in memory, their text is not.
#[derive(Debug)]
pub(super) struct Input {
    file: Mutex<File>,
    places: Vec<Place>,
    /// Why it cannot be read any more.
    lost: Mutex<Option<io::Error>>,
    is_lost: Notify,
}

#[derive(Debug)]
struct Place {
    number: u64,
    offset: u64,
    len: usize,
    /// Of its text, which must be the same when it is read again.
    hash: u64,
    /// Why it is not called for.
    refused: Option<String>,
}

/// The records that are called for, by their ids.
pub(super) type Ids = HashMap<String, usize>;

impl Input {
    /// Reads through a file once. Blank lines are no records.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or can be only once, as a pipe.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Ids)> {
        // To open a pipe waits for whoever writes to it.
        if !fs::metadata(path)?.is_file() {
            let why = "it is read more than once, so it has to be a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut reader = BufReader::new(File::open(path)?);
        let mut places: Vec<Place> = Vec::new();
        let mut ids = Ids::new();
        let (mut line, mut offset) = (Vec::new(), 0);
        for number in 1.. {
            line.clear();
            let len = reader.read_until(b'\n', &mut line)?;
            if len == 0 {
                break;
            }
            if !line.trim_ascii().is_empty() {
                let refused = match Record::parse(&line, number) {
                    Err(why) => Some(why),
                    Ok(record) => match ids.entry(record.id) {
                        Entry::Vacant(entry) => {
                            entry.insert(places.len());
                            None
                        }
                        Entry::Occupied(entry) => {
                            let first = places[*entry.get()].number;
                            Some(format!("recordId: line {first} has the same"))
                        }
                    },
                };
                places.push(Place {
                    number,
                    offset,
                    len,
                    hash: hash(&line),
                    refused,
                });
            }
            offset += len as u64;
        }
        let input = Self {
            file: Mutex::new(reader.into_inner()),
            places,
            lost: Mutex::default(),
            is_lost: Notify::new(),
        };
        Ok((input, ids))
    }

    /// Waits until a record could not be read again, and answers why. No run can be finished then.
    pub(super) async fn lost(&self) -> io::Error {
        loop {
            self.is_lost.notified().await;
            if let Some(why) = self.lost.lock().take() {
                return why;
            }
        }
    }

    /// How many records there are, those that are not valid included.
    pub(super) const fn len(&self) -> usize {
        self.places.len()
    }

    /// The line of the output for one that is not called for; `None` for one that is.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn refusal(&self, index: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(place) = self.places.get(index) else {
            return Ok(None);
        };
        let Some(why) = &place.refused else {
            return Ok(None);
        };
        let line = self.read(place)?;
        Ok(Some(refusal(&line, place.number, why)?))
    }

    /// The record that a refusal's line of the output is of, where line `number` was refused by that id and with that
    /// input. Reasons may be worded otherwise from one release to the next.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn refused(
        &self,
        number: u64,
        id: &str,
        model_input: &str,
    ) -> io::Result<Option<usize>> {
        let Ok(index) = self
            .places
            .binary_search_by_key(&number, |place| place.number)
        else {
            return Ok(None);
        };
        let place = &self.places[index];
        if place.refused.is_none() {
            return Ok(None);
        }
        let line = self.read(place)?;
        let (own_id, own_input) = of_refused(&line, number);
        let is_same = own_id == id && is_same_input(own_input, model_input);
        Ok(is_same.then_some(index))
    }

    /// Reads a record again.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is another one by now: [`lost`](Self::lost) tells of it too.
    pub(super) fn with_record<T>(
        &self,
        index: usize,
        read: impl FnOnce(&Record<'_>) -> T,
    ) -> io::Result<T> {
        let place = self.places.get(index).ok_or_else(changed)?;
        let line = self.read(place)?;
        let record = Record::parse(&line, place.number).map_err(|_| changed())?;
        Ok(read(&record))
    }

    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        self.read_again(place).inspect_err(|error| {
            // The one who waits and the one who has asked are both told.
            let again = io::Error::new(error.kind(), error.to_string());
            self.lost.lock().get_or_insert(again);
            self.is_lost.notify_one();
        })
    }

    fn read_again(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut line = vec![0; place.len];
        {
            let mut file = self.file.lock();
            file.seek(SeekFrom::Start(place.offset))?;
            file.read_exact(&mut line)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => changed(),
                    _ => error,
                })?;
        }
        if hash(&line) != place.hash {
            return Err(changed());
        }
        Ok(line)
    }
}

fn changed() -> io::Error {
    io::Error::other("it has changed since the run began")
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_that_is_another_by_now_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        for now in ["", "{\"modelInput\":{\"a\":2}}\n"] {
            fs::write(&path, "{\"modelInput\":{\"a\":1}}\n").unwrap();
            let (input, _) = Input::open(&path).unwrap();
            assert_eq!(
                input.with_record(0, |record| record.id.clone()).unwrap(),
                "LINE0000001"
            );
            fs::write(&path, now).unwrap();
            assert!(input.with_record(0, |_| ()).is_err());
            let why = input.lost().await.to_string();
            assert_eq!(why, "it has changed since the run began");
        }
    }
}
