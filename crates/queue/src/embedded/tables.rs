//! What is on disk.

use bytes::Bytes;
use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError,
    WriteTransaction,
};

use super::SetAside;
use crate::{DeadLetter, Message, line::Id};

type Head<'a> = (&'a str, Option<&'a str>, u32);
type Dead<'a> = (&'a str, u32, Option<&'a [u8]>, Option<&'a str>, &'a [u8]);

/// Key, group and attempts of each message, by its place.
const HEADS: TableDefinition<'_, Id, Head<'static>> = TableDefinition::new("heads");
const BODIES: TableDefinition<'_, Id, &'static [u8]> = TableDefinition::new("bodies");
/// The place of each message, by its key.
const KEYS: TableDefinition<'_, &'static str, Id> = TableDefinition::new("keys");
const RESULTS: TableDefinition<'_, &'static str, &'static [u8]> = TableDefinition::new("results");
/// Cause, attempts, detail, group and body of what was set aside, by its key.
const SET_ASIDE: TableDefinition<'_, &'static str, Dead<'static>> =
    TableDefinition::new("set_aside");
const VERSIONS: TableDefinition<'_, &'static str, u32> = TableDefinition::new("versions");

/// What the tables mean. Another number is another program's.
const VERSION: u32 = 1;

/// The tables in one transaction.
pub(super) struct Tables<'t> {
    heads: Table<'t, Id, Head<'static>>,
    bodies: Table<'t, Id, &'static [u8]>,
    keys: Table<'t, &'static str, Id>,
    results: Table<'t, &'static str, &'static [u8]>,
    set_aside: Table<'t, &'static str, Dead<'static>>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            bodies: transaction.open_table(BODIES)?,
            keys: transaction.open_table(KEYS)?,
            results: transaction.open_table(RESULTS)?,
            set_aside: transaction.open_table(SET_ASIDE)?,
        })
    }

    /// Whether the file is this program's to read; an empty one is made so.
    pub(super) fn claim(transaction: &WriteTransaction) -> Result<bool, redb::Error> {
        let is_empty = transaction.list_tables()?.next().is_none();
        let mut versions = transaction.open_table(VERSIONS)?;
        let version = versions.get("queue")?.map(|version| version.value());
        if version.is_none() && is_empty {
            versions.insert("queue", VERSION)?;
            return Ok(true);
        }
        Ok(version == Some(VERSION))
    }

    pub(super) fn len(&self) -> Result<u64, redb::Error> {
        Ok(self.heads.len()?)
    }

    /// The place behind the last message.
    pub(super) fn end(&self) -> Result<Id, redb::Error> {
        let last = self.heads.last()?;
        Ok(last.map_or(0, |(id, _)| id.value() + 1))
    }

    /// The first message at or after a place.
    pub(super) fn next(&self, at: Id) -> Result<Option<Id>, redb::Error> {
        let next = self.heads.range(at..)?.next().transpose()?;
        Ok(next.map(|(id, _)| id.value()))
    }

    /// Whether a key's work is in the line, or done.
    pub(super) fn knows(&self, key: &str) -> Result<bool, redb::Error> {
        Ok(self.keys.get(key)?.is_some() || self.results.get(key)?.is_some())
    }

    pub(super) fn add(&mut self, id: Id, message: &Message) -> Result<(), redb::Error> {
        let head = (message.key(), message.group(), 0);
        self.heads.insert(id, head)?;
        self.bodies.insert(id, &message.body()[..])?;
        self.keys.insert(message.key(), id)?;
        Ok(())
    }

    /// Counts an attempt, and answers the message and how many there have been; `None` where there is none.
    pub(super) fn attempt(&mut self, id: Id) -> Result<Option<(Message, u32)>, redb::Error> {
        let Some((message, attempts)) = self.message(id)? else {
            return Ok(None);
        };
        let attempts = attempts.saturating_add(1);
        let head = (message.key(), message.group(), attempts);
        self.heads.insert(id, head)?;
        Ok(Some((message, attempts)))
    }

    /// How many attempts there have been; none where there is no message.
    pub(super) fn attempts(&self, id: Id) -> Result<u32, redb::Error> {
        let head = self.heads.get(id)?;
        Ok(head.map_or(0, |head| head.value().2))
    }

    /// Takes an attempt back.
    pub(super) fn uncount(&mut self, id: Id) -> Result<(), redb::Error> {
        if let Some((message, attempts)) = self.message(id)? {
            let head = (message.key(), message.group(), attempts.saturating_sub(1));
            self.heads.insert(id, head)?;
        }
        Ok(())
    }

    fn message(&self, id: Id) -> Result<Option<(Message, u32)>, redb::Error> {
        let (Some(head), Some(body)) = (self.heads.get(id)?, self.bodies.get(id)?) else {
            return Ok(None);
        };
        let (key, group, attempts) = head.value();
        let body = Bytes::copy_from_slice(body.value());
        Ok(Some((message(key, body, group), attempts)))
    }

    pub(super) fn remove(&mut self, id: Id) -> Result<(), redb::Error> {
        let head = self.heads.remove(id)?;
        if let Some(head) = head {
            self.keys.remove(head.value().0)?;
        }
        self.bodies.remove(id)?;
        Ok(())
    }

    pub(super) fn put_result(&mut self, key: &str, result: &[u8]) -> Result<(), redb::Error> {
        self.results.insert(key, result)?;
        Ok(())
    }

    pub(super) fn remove_result(&mut self, key: &str) -> Result<bool, redb::Error> {
        Ok(self.results.remove(key)?.is_some())
    }

    pub(super) fn set_aside(
        &mut self,
        message: &Message,
        why: &DeadLetter,
    ) -> Result<(), redb::Error> {
        let dead = (
            why.cause.as_str(),
            why.attempts,
            why.detail.as_deref(),
            message.group(),
            &message.body()[..],
        );
        self.set_aside.insert(message.key(), dead)?;
        Ok(())
    }

    /// Takes what was set aside under a key.
    pub(super) fn take_set_aside(&mut self, key: &str) -> Result<Option<Message>, redb::Error> {
        let dead = self.set_aside.remove(key)?;
        Ok(dead.map(|dead| {
            let (_, _, _, group, body) = dead.value();
            message(key, Bytes::copy_from_slice(body), group)
        }))
    }
}

pub(super) fn result(
    transaction: &ReadTransaction,
    key: &str,
) -> Result<Option<Bytes>, redb::Error> {
    let result = transaction.open_table(RESULTS)?.get(key)?;
    Ok(result.map(|result| Bytes::copy_from_slice(result.value())))
}

pub(super) fn has_result(transaction: &ReadTransaction, key: &str) -> Result<bool, redb::Error> {
    Ok(transaction.open_table(RESULTS)?.get(key)?.is_some())
}

pub(super) fn all_set_aside(transaction: &ReadTransaction) -> Result<Vec<SetAside>, redb::Error> {
    let table = transaction.open_table(SET_ASIDE)?;
    let read =
        |entry: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, Dead<'_>>), _>| {
            let (key, dead) = entry?;
            let (cause, attempts, detail, group, body) = dead.value();
            Ok(SetAside {
                message: message(key.value(), Bytes::copy_from_slice(body), group),
                cause: cause.to_owned(),
                attempts,
                detail: detail.map(Bytes::copy_from_slice),
            })
        };
    table.iter()?.map(read).collect()
}

fn message(key: &str, body: Bytes, group: Option<&str>) -> Message {
    let message = Message::new(key, body);
    match group {
        Some(group) => message.with_group(group),
        None => message,
    }
}
