//! The input: where its records are.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use parking_lot::Mutex;

use super::record::{Record, refusal};

/// A file of records. Their places are kept in memory, their text is not.
#[derive(Debug)]
pub(super) struct Input {
    file: Mutex<File>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    number: u64,
    offset: u64,
    len: usize,
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
    /// The file cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Ids)> {
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
                    refused,
                });
            }
            offset += len as u64;
        }
        let file = Mutex::new(reader.into_inner());
        Ok((Self { file, places }, ids))
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

    /// Reads a record again.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is another one by now.
    pub(super) fn with_record<T>(
        &self,
        index: usize,
        read: impl FnOnce(&Record<'_>) -> T,
    ) -> io::Result<T> {
        let changed = || io::Error::other("the input has changed");
        let place = self.places.get(index).ok_or_else(changed)?;
        let line = self.read(place)?;
        let record = Record::parse(&line, place.number).map_err(|_| changed())?;
        Ok(read(&record))
    }

    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut line = vec![0; place.len];
        let mut file = self.file.lock();
        file.seek(SeekFrom::Start(place.offset))?;
        file.read_exact(&mut line)?;
        Ok(line)
    }
}
