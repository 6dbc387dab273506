use std::{fs, io::ErrorKind, path::Path};

use parking_lot::RwLock;
use redb::{Database, Error};
use tempfile::NamedTempFile;

use super::tables::Tables;

/// The database. After an error of the disk redb takes nothing more, so it is closed then, and opened again by who
/// next needs it.
pub(super) struct File {
    open: Box<dyn Fn() -> Result<Database, Error> + Send + Sync>,
    opened: RwLock<Opened>,
}

#[derive(Default)]
struct Opened {
    database: Option<Database>,
    /// How often it has been opened.
    times: u64,
}

impl File {
    /// Opens a file, or makes a new one.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        if !path.try_exists()? {
            create(path)?;
        }
        let path = std::path::absolute(path)?;
        // An empty file will do as well as none.
        let database = Database::create(&path)?;
        Ok(Self {
            // Never a new one: what is in memory belongs to the one that was there.
            open: Box::new(move || Ok(Database::open(&path)?)),
            opened: RwLock::new(Opened {
                database: Some(database),
                times: 1,
            }),
        })
    }

    #[cfg(test)]
    pub(super) fn opened_by(
        open: impl Fn() -> Result<Database, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            opened: RwLock::default(),
        }
    }

    /// Works at the database. Blocks.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (result, times) = loop {
            let opened = self.opened.read();
            if let Some(database) = &opened.database {
                break (work(database), opened.times);
            }
            drop(opened);
            let mut opened = self.opened.write();
            if opened.database.is_none() {
                opened.database = Some((self.open)()?);
                opened.times += 1;
            }
        };
        if matches!(result, Err(Error::Io(_) | Error::PreviousIo)) {
            let mut opened = self.opened.write();
            // Not where somebody else has opened it since.
            if opened.times == times {
                opened.database = None;
            }
        }
        result
    }
}

/// Makes the file under another name, so that a process which dies over it leaves nothing that cannot be opened.
fn create(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let new = NamedTempFile::new_in(folder)?;
    let database = Database::create(new.path())?;
    let transaction = database.begin_write()?;
    Tables::claim(&transaction)?;
    transaction.commit()?;
    drop(database);
    match new.persist_noclobber(path) {
        // Another process was faster.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        named => named.map_err(|error| error.error)?,
    };
    // The name is on disk when its folder is; where folders cannot be synchronised they need not be.
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}
