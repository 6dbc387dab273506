//! The waiting queue under every order of events that shuttle tries: calls that ask, wait, are let through,
//! give up, and are dropped, from several threads, with a clock that rings whenever it likes.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p tower-bedrock-quota --lib shuttle`. A wake-up that is lost
//! leaves everybody asleep, and shuttle reports the deadlock.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    sync::{Condvar, Mutex},
    thread,
};
use tower_bedrock_core::{Priority, Target, Tenant};

use crate::{
    LimitTable, Limiter, Limits, QuotaPattern,
    budget::{Ending, Grant, Refusal},
    key::{Key, Turn},
    registry::Meters,
    state::{Ask, Waited},
    time::Time,
};

const MINUTE: u64 = 60_000_000_000;
const CALLERS: usize = 4;

/// The only clock and the only timers there are.
#[derive(Default)]
struct World {
    state: Mutex<Timers>,
    changed: Condvar,
}

#[derive(Default)]
struct Timers {
    now: u64,
    set: BTreeMap<(u64, usize), Waker>,
    numbers: usize,
    gone: usize,
    /// When calls were let through.
    granted: Vec<u64>,
}

impl World {
    fn now(&self) -> Time {
        Time::from_nanos(self.state.lock().unwrap().now)
    }

    fn set(&self, at: Time, waker: &Waker) {
        let mut state = self.state.lock().unwrap();
        state.numbers += 1;
        let number = state.numbers;
        state.set.insert((at.as_nanos(), number), waker.clone());
        self.changed.notify_one();
    }

    /// Rings one timer after the other, until everybody has gone.
    fn run(&self) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.set.is_empty() && state.gone < CALLERS {
                state = self.changed.wait(state).unwrap();
            }
            let Some(((at, _), waker)) = state.set.pop_first() else {
                return;
            };
            state.now = state.now.max(at);
            drop(state);
            waker.wake();
        }
    }
}

struct Call {
    world: Arc<World>,
    key: Arc<Key>,
    seat: Option<(usize, Waited)>,
    tenant: Tenant,
    polls_left: usize,
}

impl Future for Call {
    /// `None` where the caller gave up.
    type Output = Option<Result<Grant, Refusal>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Given up at a moment of its own choice.
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        let now = self.world.now();
        let turn = match &self.seat {
            Some((id, _)) => self.key.poll(*id, now, cx.waker()),
            None => {
                let ask = Ask {
                    tokens: 1,
                    priority: Priority::Normal,
                    tenant: Some(&self.tenant),
                    weight: 1,
                    max_wait: if self.polls_left % 3 == 0 {
                        MINUTE * 3 / 2
                    } else {
                        u64::MAX
                    },
                    deadline: None,
                    attempt_time: None,
                    streaming: false,
                    places: 3,
                };
                self.key.ask(&ask, now, cx.waker())
            }
        };
        match turn {
            Turn::Granted(grant) | Turn::Served(grant) => {
                self.seat = None;
                Poll::Ready(Some(Ok(grant)))
            }
            Turn::Refused(refusal) => {
                self.seat = None;
                Poll::Ready(Some(Err(refusal)))
            }
            Turn::Waits(id, timer) => {
                let waited = Waited {
                    priority: Priority::Normal,
                    tenant: Some(self.tenant.clone()),
                    weight: 1,
                };
                self.seat = Some((id, waited));
                if let Some(at) = timer {
                    self.world.set(at, cx.waker());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((id, waited)) = &self.seat {
            self.key.cancel(*id, waited);
        }
    }
}

fn key(requests: u64) -> Arc<Key> {
    let limits = Limits::new().with_requests_per_minute(requests);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let limiter = Limiter::builder()
        .limits(table)
        .learn(false)
        .build()
        .unwrap();
    let target = Target::parse("us-east-1", "acme.small-1").unwrap();
    match limiter.meters(&target) {
        Meters::Key(key) => key,
        other => panic!("{other:?}"),
    }
}

fn scenario() {
    const LIMIT: usize = 2;
    let world = Arc::new(World::default());
    let key = key(LIMIT as u64);
    let clock = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.run())
    };
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (world, key) = (Arc::clone(&world), Arc::clone(&key));
            thread::spawn(move || {
                for _ in 0..2 {
                    let call = Call {
                        world: Arc::clone(&world),
                        key: Arc::clone(&key),
                        seat: None,
                        tenant: format!("tenant-{}", caller % 2).into(),
                        polls_left: if thread_rng().gen_bool(0.3) { 2 } else { 1_000 },
                    };
                    if let Some(Ok(mut grant)) = block_on(call) {
                        key.send(&mut grant, world.now());
                        let mut state = world.state.lock().unwrap();
                        state.granted.push(grant.sent.as_nanos());
                        drop(state);
                        key.end(&grant, None, Ending::Kept, None);
                    }
                }
                world.state.lock().unwrap().gone += 1;
                world.changed.notify_one();
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    clock.join().unwrap();
    let granted = &world.state.lock().unwrap().granted;
    for at in granted {
        let within = granted
            .iter()
            .filter(|other| *other <= at && **other + MINUTE > *at);
        assert!(within.count() <= LIMIT, "{granted:?}");
    }
    key.look(|state, _| {
        assert!(state.queue().is_empty());
        assert_eq!(state.budget().in_flight().calls, 0);
    });
}

#[test]
fn no_wake_up_is_lost_at_random() {
    shuttle::check_random(scenario, 3_000);
}

#[test]
fn no_wake_up_is_lost_with_few_preemptions() {
    shuttle::check_pct(scenario, 3_000, 3);
}
