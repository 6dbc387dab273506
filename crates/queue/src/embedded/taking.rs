//! A receipt: what it leases, and what becomes of that where nobody is told.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    time::{Duration, Instant},
};

use super::{EmbeddedError, Shared, tables::Tables};
use crate::{Delivery, line::LocalReceipt};

/// A receipt under way. Dropped before it is answered, what it leased goes back and was no attempt.
pub(super) struct Taking {
    shared: Arc<Shared>,
    leased: Arc<Mutex<Vec<Leased>>>,
    is_answered: bool,
}

#[derive(Clone, Copy)]
struct Leased {
    receipt: LocalReceipt,
    /// How many attempts there have been with this one; zero where it has not been counted.
    attempts: u32,
}

impl Taking {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            leased: Arc::default(),
            is_answered: false,
        }
    }

    /// Leases and counts in one.
    pub(super) async fn take(
        mut self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<LocalReceipt>>, EmbeddedError> {
        let (shared, leased) = (Arc::clone(&self.shared), Arc::clone(&self.leased));
        let write = self
            .shared
            .write(move |tables| shared.take(tables, max.max(1), visibility, &mut leased.lock()));
        let taken = write.await;
        self.is_answered = true;
        if taken.is_err() {
            self.shared.release(&self.leased.lock());
        }
        taken
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        // Without a runtime there is nobody to write: the leases run out.
        if self.is_answered || Handle::try_current().is_err() {
            return;
        }
        let (shared, leased) = (Arc::clone(&self.shared), Arc::clone(&self.leased));
        // Comes after the write that took them, be that to come, under way or done. And where that is under way, a
        // runtime that is shut down waits for this, too.
        drop(self.shared.begin(move |tables| {
            let leased = leased.lock();
            shared.uncount(tables, &leased)?;
            shared.release(&leased);
            Ok(())
        }));
    }
}

impl Shared {
    /// `leased` says what was leased, also where it could not be counted.
    fn take(
        &self,
        tables: &mut Tables<'_>,
        max: usize,
        visibility: Duration,
        leased: &mut Vec<Leased>,
    ) -> Result<Vec<Delivery<LocalReceipt>>, redb::Error> {
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let taken = {
                let state = &mut *self.state.lock();
                let next = |at| tables.next(at);
                let taken = state.line.take(Instant::now(), visibility, next)?;
                if taken.is_none() {
                    // Places may be empty.
                    state.line.skip_to(state.end);
                }
                taken
            };
            let Some(receipt) = taken else { break };
            let attempted = tables.attempt(receipt.id);
            let attempts = match &attempted {
                Ok(Some((_, attempts))) => *attempts,
                Ok(None) | Err(_) => 0,
            };
            leased.push(Leased { receipt, attempts });
            match attempted? {
                Some((message, attempts)) => deliveries.push(Delivery {
                    message,
                    receipt,
                    attempts,
                }),
                // Settled by one whose lease had run out.
                None => drop(self.state.lock().line.end(receipt)),
            }
        }
        Ok(deliveries)
    }

    /// Takes back the attempts that are on disk, unless others' have been counted since.
    fn uncount(&self, tables: &mut Tables<'_>, leased: &[Leased]) -> Result<(), redb::Error> {
        for Leased { receipt, attempts } in leased {
            let is_held = self.state.lock().line.check(*receipt).is_ok();
            if is_held && tables.attempts(receipt.id)? == *attempts {
                tables.uncount(receipt.id)?;
            }
        }
        Ok(())
    }

    /// A message whose attempt is not on disk is nobody's.
    fn release(&self, leased: &[Leased]) {
        let mut state = self.state.lock();
        for Leased { receipt, .. } in leased {
            // Somebody else's by now.
            let _ = state
                .line
                .give_back(*receipt, Instant::now(), Duration::ZERO);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}
