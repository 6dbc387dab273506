use std::{borrow::Cow, collections::VecDeque};

use serde::Serialize;
use tokio::time::Duration;
use tower_bedrock_core::FaultKind;

use crate::{Denied, ServiceError};

/// What the ledger remembers of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Its number, from 0 on.
    pub seq: u64,
    /// When it came, in simulated milliseconds since the simulator's start.
    pub at_ms: u64,
    /// When it was over; null while it is under way.
    pub ended_ms: Option<u64>,
    /// The model id as called.
    pub model: String,
    /// The Region called.
    pub region: String,
    /// The operation's name.
    pub operation: Cow<'static, str>,
    /// `in_flight`, `ok`, `dropped` (its caller went away), or the kind of fault as
    /// [`FaultKind`] names it.
    pub outcome: &'static str,
    /// The id of the scripted fault that struck it.
    pub fault: Option<u64>,
    /// The HTTP status; null where there was none.
    pub status: Option<u16>,
    /// Input tokens, prompt cache included.
    pub input_tokens: u64,
    /// `max_tokens`: the model's own maximum where the request set none.
    pub max_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Tokens of quota reserved when it was admitted.
    pub reserved: u64,
    /// Tokens of quota it cost in the end.
    pub settled: u64,
    /// The quotas right after it: at its end, or at its refusal.
    pub quotas: QuotaLevels,
}

/// How full the quotas of one model and route are in a Region; null where there is no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuotaLevels {
    /// Requests a minute.
    pub requests_per_minute: Option<QuotaLevel>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<QuotaLevel>,
    /// Tokens a day of the model.
    pub tokens_per_day: Option<QuotaLevel>,
    /// Tokens a day of the Region, across models.
    pub region_tokens_per_day: Option<QuotaLevel>,
}

/// How full one quota is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuotaLevel {
    /// What counts against the limit. More than the limit is debt.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

/// The ledger, as `GET /_sim/ledger` answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// The calls remembered, the oldest first.
    pub entries: Vec<LedgerEntry>,
    /// How many older ones were forgotten.
    pub forgotten: u64,
}

/// The ledger being written: it remembers so many calls and forgets the oldest.
#[derive(Debug)]
pub(crate) struct Book {
    entries: VecDeque<LedgerEntry>,
    capacity: usize,
    next_seq: u64,
    forgotten: u64,
}

impl LedgerEntry {
    pub(crate) fn new(
        now: Duration,
        operation: Cow<'static, str>,
        region: &str,
        model: &str,
    ) -> Self {
        Self {
            seq: 0,
            at_ms: millis(now),
            ended_ms: None,
            model: model.to_owned(),
            region: region.to_owned(),
            operation,
            outcome: "in_flight",
            fault: None,
            status: Some(200),
            input_tokens: 0,
            max_tokens: 0,
            output_tokens: 0,
            reserved: 0,
            settled: 0,
            quotas: QuotaLevels::default(),
        }
    }

    pub(crate) fn end(&mut self, now: Duration, outcome: &'static str) {
        self.ended_ms = Some(millis(now));
        self.outcome = outcome;
    }

    pub(crate) fn refuse(&mut self, now: Duration, error: &ServiceError) {
        self.status = Some(error.status());
        self.end(now, error.fault().kind().as_str());
    }

    pub(crate) fn deny(&mut self, now: Duration, denied: &Denied) {
        match denied {
            Denied::Error(error) => self.refuse(now, error),
            Denied::Html503 { .. } => {
                self.status = Some(503);
                self.end(now, FaultKind::Transport.as_str());
            }
            Denied::Reset => {
                self.status = None;
                self.end(now, FaultKind::Transport.as_str());
            }
        }
    }
}

impl Book {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            capacity,
            next_seq: 0,
            forgotten: 0,
        }
    }

    /// Answers the entry's number.
    pub(crate) fn write(&mut self, mut entry: LedgerEntry) -> u64 {
        entry.seq = self.next_seq;
        self.next_seq += 1;
        self.entries.push_back(entry);
        if self.entries.len() > self.capacity {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.next_seq - 1
    }

    /// The entry of the given number, if it is still remembered. Numbers follow one another.
    pub(crate) fn entry(&mut self, seq: u64) -> Option<&mut LedgerEntry> {
        let first = self.entries.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.forgotten = 0;
    }

    pub(crate) fn read(&self) -> Ledger {
        Ledger {
            entries: self.entries.iter().cloned().collect(),
            forgotten: self.forgotten,
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
