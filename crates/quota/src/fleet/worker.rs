use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    future::{Future, pending},
    pin::{Pin, pin},
    sync::{Arc, Weak},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::{
    Answer, Store, StoreError,
    attention::Calls,
    leased::Leased,
    member::{Change, Member, Sent},
    settings::Settings,
};

/// Renews a fleet's leases. Made by [`FleetBuilder::build`](super::FleetBuilder::build); spawn what
/// [`run`](Self::run) or [`run_until`](Self::run_until) answers.
///
/// Without it, and when it is dropped, every key falls back to its safe share once its lease has run out.
#[must_use = "a fleet has no more than its safe share unless its worker runs"]
pub struct Worker {
    calls: Arc<Calls>,
    store: Arc<dyn Store>,
    settings: Settings,
    prefix: String,
    id: u128,
    entries: HashMap<u64, Entry>,
    due: BTreeSet<(Instant, u64)>,
    in_flight: FuturesUnordered<Pin<Box<dyn Future<Output = Returned> + Send>>>,
    /// How many keys and days keep to their safe share because the store does not answer.
    lost: usize,
}

/// A key or a day that is renewed.
struct Entry {
    leased: Weak<dyn Leased>,
    name: Arc<str>,
    member: Member,
    in_flight: bool,
    /// Whether it called while a renewal was in flight.
    called: bool,
    /// Not to be looked at before.
    rests: Instant,
    due: Option<Instant>,
}

/// A renewal that has come back.
struct Returned {
    number: u64,
    sent: Box<Sent>,
    result: Result<Answer, StoreError>,
}

/// What the records of a key have the form of: processes with another share no quota with these, rather than take its
/// numbers for others.
const FORMAT: &str = "v1";

enum Event {
    Called,
    Due,
    Returned(Returned),
}

impl Worker {
    pub(crate) fn new(
        calls: Arc<Calls>,
        store: Arc<dyn Store>,
        settings: Settings,
        prefix: String,
        id: u128,
    ) -> Self {
        Self {
            calls,
            store,
            settings,
            prefix,
            id,
            entries: HashMap::new(),
            due: BTreeSet::new(),
            in_flight: FuturesUnordered::new(),
            lost: 0,
        }
    }

    /// Renews leases for as long as it is polled.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the leases to run out. To give them back at once, end
    /// [`run_until`](Self::run_until).
    pub async fn run(self) {
        self.run_until(pending()).await;
    }

    /// Renews leases until `shutdown` is over, then gives them back, which takes no longer than the time limit for
    /// one answer. From then on calls are turned away or wait: shut down whoever makes them first.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut shutdown => break,
                event = self.next() => event,
            };
            match event {
                Event::Called => self.called(),
                Event::Due => self.look_at_due(),
                Event::Returned(returned) => self.returned(returned),
            }
        }
        self.leave().await;
    }

    async fn next(&mut self) -> Event {
        let first = self.due.first().map(|(at, _)| *at);
        tokio::select! {
            biased;
            Some(returned) = self.in_flight.next() => Event::Returned(returned),
            () = self.calls.wait() => Event::Called,
            () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => Event::Due,
        }
    }

    /// Some are new, or short of something.
    fn called(&mut self) {
        for leased in self.calls.take().iter().filter_map(Weak::upgrade) {
            let Some(number) = leased.attention().map(|attention| attention.number()) else {
                continue;
            };
            let clock = leased.clock();
            let is_full = self.entries.len() == self.entries.capacity();
            if is_full && !self.entries.contains_key(&number) {
                // Keys that nobody called for long are forgotten by the limiter, and by nobody else.
                self.entries
                    .retain(|_, entry| entry.leased.strong_count() > 0);
                let entries = &self.entries;
                self.due.retain(|(_, number)| entries.contains_key(number));
                self.count_lost();
            }
            let entry = self.entries.entry(number).or_insert_with(|| Entry {
                leased: Arc::downgrade(&leased),
                name: format!("{}:{FORMAT}:{{{}}}", self.prefix, leased.name()).into(),
                member: Member::new(
                    self.id.wrapping_add(u128::from(number)),
                    clock.now(),
                    &self.settings,
                ),
                in_flight: false,
                called: false,
                rests: Instant::now(),
                due: None,
            });
            if entry.in_flight {
                entry.called = true;
            } else {
                let at = clock.instant(entry.member.earliest()).max(entry.rests);
                let sooner = entry.due.map_or(at, |due| due.min(at));
                self.schedule(number, Some(sooner));
            }
        }
    }

    fn schedule(&mut self, number: u64, at: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            if let Some(before) = entry.due.take() {
                self.due.remove(&(before, number));
            }
            entry.due = at;
            self.due.extend(at.map(|at| (at, number)));
        }
    }

    fn look_at_due(&mut self) {
        let now = Instant::now();
        while let Some(&(at, number)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.due = None;
            }
            self.look_at(number);
        }
    }

    /// Renews a lease where that is due.
    fn look_at(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let Some(leased) = entry.leased.upgrade() else {
            self.entries.remove(&number);
            self.count_lost();
            return;
        };
        match leased.renew(&mut entry.member, &self.settings) {
            (Some(sent), _) => {
                entry.in_flight = true;
                let name = Arc::clone(&entry.name);
                self.send(number, name, sent);
            }
            (None, shared) if entry.member.is_away() || !shared => {}
            (None, _) => {
                let clock = leased.clock();
                let at = clock.instant(entry.member.later(clock.now()));
                entry.rests = Instant::now() + Duration::from_millis(100);
                self.schedule(number, Some(at));
            }
        }
    }

    fn send(&self, number: u64, name: Arc<str>, mut sent: Sent) {
        sent.renewal = sent.renewal.clamped();
        let store = Arc::clone(&self.store);
        let limit = Duration::from_nanos(self.settings.timeout);
        self.in_flight.push(Box::pin(async move {
            let answer = timeout(limit, store.renew(&name, &sent.renewal)).await;
            let result = answer.unwrap_or(Err(StoreError::Timeout));
            Returned {
                number,
                sent: Box::new(sent),
                result,
            }
        }));
    }

    fn returned(&mut self, returned: Returned) {
        let Returned {
            number,
            sent,
            result,
        } = returned;
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let Some(leased) = entry.leased.upgrade() else {
            self.entries.remove(&number);
            self.count_lost();
            return;
        };
        let clock = leased.clock();
        let change = match &result {
            Ok(answer) => leased.answered(&mut entry.member, &sent, answer, &self.settings),
            Err(error) => {
                tracing::debug!(key = leased.name(), %error, "a lease was not renewed");
                if *error == StoreError::Full {
                    leased.turned_away();
                }
                entry.member.failed(clock.now())
            }
        };
        entry.in_flight = false;
        let mut next = entry.member.next().map(|at| clock.instant(at));
        if std::mem::take(&mut entry.called) {
            let earliest = clock.instant(entry.member.earliest());
            next = Some(next.map_or(earliest, |next| next.min(earliest)));
        }
        self.schedule(number, next);
        if let Some(change) = change {
            self.tell(&*leased, change, result.err());
        }
    }

    /// Of what is gone it is not told that the store is back.
    fn count_lost(&mut self) {
        let lost = |entry: &&Entry| entry.member.is_lost();
        self.lost = self.entries.values().filter(lost).count();
    }

    fn tell(&mut self, leased: &dyn Leased, change: Change, error: Option<StoreError>) {
        match change {
            Change::Found => {}
            Change::Lost => {
                self.lost += 1;
                if self.lost == 1 {
                    let error = error.map(|error| error.to_string()).unwrap_or_default();
                    tracing::warn!(
                        key = leased.name(),
                        error,
                        "the store that quotas are shared through does not answer; \
                         keeping to a safe share of them",
                    );
                }
            }
            Change::Back(nanos) => {
                self.lost = self.lost.saturating_sub(1);
                if self.lost == 0 {
                    tracing::info!(
                        seconds = Duration::from_nanos(nanos).as_secs_f64(),
                        "the store that quotas are shared through answers again",
                    );
                }
            }
        }
        leased.tell(change);
    }

    /// Gives all leases back, as far as the store answers in time.
    async fn leave(mut self) {
        self.calls.end();
        // Whatever is in flight would come too late to be used.
        self.in_flight = FuturesUnordered::new();
        let mut leaving = Vec::new();
        for (number, entry) in &mut self.entries {
            let Some(leased) = entry.leased.upgrade() else {
                continue;
            };
            // One that was about to leave may not have arrived.
            if entry.member.is_away() && !entry.in_flight {
                continue;
            }
            if let Some(sent) = leased.leave(&mut entry.member, &self.settings) {
                leaving.push((*number, Arc::clone(&entry.name), sent));
            }
        }
        for (number, name, sent) in leaving {
            self.send(number, name, sent);
        }
        while self.in_flight.next().await.is_some() {}
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("keys", &self.entries.len())
            .finish_non_exhaustive()
    }
}
