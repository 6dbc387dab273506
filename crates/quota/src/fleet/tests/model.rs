//! Every order of events that a few processes, a slow network and a store can come to, as far as time allows, with
//! the code that decides: [`Member`] and [`Share`] on each process's side, [`Ledger`] on the store's.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use rand::{SeedableRng, rngs::StdRng, seq::IteratorRandom as _};
use tower_bedrock_core::Priority;

use crate::{
    fleet::{
        ledger::Ledger,
        look::{Look, Shares},
        member::{Member, Sent},
        renewal::{Answer, Claim},
        settings::Settings,
    },
    meter::Share,
    time::Time,
};

/// What time goes on by: four real seconds stand for one here, so that a lease, which is five, outlasts one, and a window
/// outlasts a lease.
const SECOND: u64 = 4_000_000_000;

/// What is explored.
#[derive(Clone, Copy, Debug)]
struct Scope {
    processes: usize,
    limit: u64,
    seconds: u64,
    /// Whether the store may lose all that it knows.
    flushes: bool,
    /// Whether a process that is not answered in time has been killed, and is back when it is answered.
    killed: bool,
}

const WINDOW: u64 = 3;

fn settings(killed: bool) -> Settings {
    Settings {
        window: WINDOW * SECOND,
        // Either no process is cut off for longer, or none goes on that is.
        reserve: if killed { 0 } else { 100 * SECOND },
        timeout: SECOND / 2,
        least_interval: SECOND / 40,
        most_interval: SECOND / 40,
        members: 1,
        priority: Priority::Normal,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    second: u64,
    ledger: Ledger,
    processes: Vec<Process>,
    /// Renewals that the store has not seen.
    network: Vec<(usize, Sent)>,
    flushed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    member: Member,
    share: Share,
    /// What was used, and when, in the window.
    uses: Vec<(u64, u64)>,
    /// Once a second is enough.
    renewed: u64,
    waits_for: Option<Sent>,
    answer: Option<Answer>,
}

impl Shares for Process {
    fn each_share(&mut self, mut change: impl FnMut(usize, u64, &mut Share)) {
        change(1, 0, &mut self.share);
    }
}

impl Process {
    fn new(id: usize) -> Self {
        let settings = settings(false);
        let safe_from = Time::from_nanos(settings.patience());
        Self {
            member: Member::new(id as u128, Time::ZERO, &settings),
            // One that the store has never heard of uses nothing here. A real one has a safe share.
            share: Share::unanswered(0, safe_from),
            uses: Vec::new(),
            renewed: 0,
            waits_for: None,
            answer: None,
        }
    }

    fn used(&self) -> u64 {
        self.uses.iter().map(|(_, amount)| amount).sum()
    }

    /// Who is cut off for so long that it counts on a whole safe share uses nothing here: whether all of those are
    /// within the limit depends on how many members each has been told of.
    fn room(&self, scope: Scope, now: Time) -> u64 {
        if self.share.is_safe(now) || (scope.killed && self.share.is_over(now)) {
            return 0;
        }
        self.share.cap().saturating_sub(self.used())
    }

    fn look(&self, scope: Scope, wanted: u64) -> Look {
        let used = self.used();
        let mut look = Look {
            hungry: wanted > 0,
            ..Look::default()
        };
        look.claims[1] = Claim {
            limit: scope.limit,
            holds: self.share.cap(),
            used,
            debt: 0,
            demand: used + wanted,
            need: wanted.min(1),
            version: self.share.version(),
            throttled: 0,
        };
        look
    }
}

impl World {
    fn new(scope: Scope) -> Self {
        Self {
            second: 1,
            ledger: Ledger::default(),
            processes: (0..scope.processes).map(Process::new).collect(),
            network: Vec::new(),
            flushed: false,
        }
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.second * SECOND)
    }

    /// Everything that can happen next.
    ///
    /// Once a second each process may use all it has room for, say how it stands, and use what it has room for
    /// then. Who used something in between might as well have done so at the end, and who was not answered by
    /// then is not any more.
    fn next(&self, scope: Scope) -> Vec<Self> {
        let mut next = Vec::new();
        let mut then = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        if self.second < scope.seconds {
            for users in 0..1_usize << self.processes.len() {
                then(&|world| world.tick(scope, users));
            }
        }
        for (i, process) in self.processes.iter().enumerate() {
            if process.renewed < self.second {
                // It wants everything; the last one may also want no more than it has used.
                let modest = (i + 1 == self.processes.len()).then_some(0);
                for wanted in [scope.limit].into_iter().chain(modest) {
                    then(&|world| world.renew(i, scope, wanted));
                    if process.room(scope, self.now()) > 0 {
                        then(&|world| {
                            world.spend(scope, i);
                            world.renew(i, scope, wanted);
                        });
                    }
                }
            }
            if process.answer.is_some() {
                then(&|world| world.answer(scope, i));
            }
        }
        for at in 0..self.network.len() {
            then(&|world| world.handle(at));
        }
        let all_known = self
            .processes
            .iter()
            .all(|process| process.member.is_known());
        if scope.flushes && !self.flushed && all_known && self.network.is_empty() {
            then(&|world| {
                world.ledger = Ledger::default();
                world.flushed = true;
            });
        }
        next
    }

    /// A second passes; those of `users` use what they have room for at its end.
    fn tick(&mut self, scope: Scope, users: usize) {
        for i in 0..self.processes.len() {
            if users & 1 << i > 0 {
                self.spend(scope, i);
            }
        }
        // A renewal arrives a second late at the most.
        let second = self.second;
        self.network
            .retain(|(_, sent)| sent.at.as_nanos() == second * SECOND);
        self.second += 1;
        let (now, second) = (self.now(), self.second);
        for process in &mut self.processes {
            if process.waits_for.take().is_some() {
                process.answer = None;
                process.member.failed(now);
                process.member.forget_pace();
            }
            process.uses.retain(|(at, _)| at + WINDOW > second);
            process.share.advance(now);
        }
    }

    fn renew(&mut self, i: usize, scope: Scope, wanted: u64) {
        let now = self.now();
        let process = &mut self.processes[i];
        let look = process.look(scope, wanted);
        let mut member = process.member.clone();
        let sent = member.renew(process, &look, now, &settings(scope.killed));
        process.member = member;
        process.member.forget_pace();
        process.renewed = self.second;
        process.waits_for = Some(sent.clone());
        self.network.push((i, sent));
    }

    fn answer(&mut self, scope: Scope, i: usize) {
        let now = self.now();
        let process = &mut self.processes[i];
        if let (Some(sent), Some(answer)) = (process.waits_for.take(), process.answer.take()) {
            let mut member = process.member.clone();
            member.answered(process, &sent, &answer, now, &settings(scope.killed));
            process.member = member;
            process.member.forget_pace();
        }
    }

    fn spend(&mut self, scope: Scope, i: usize) {
        let now = self.now();
        let process = &mut self.processes[i];
        let room = process.room(scope, now);
        if room > 0 {
            process.uses.push((self.second, room));
        }
    }

    fn handle(&mut self, at: usize) {
        let (i, sent) = self.network.remove(at);
        let now = SECOND / 1_000_000 * (self.second + 1);
        if let Ok(answer) = self.ledger.renew(now, &sent.renewal) {
            let process = &mut self.processes[i];
            if process.waits_for.as_ref() == Some(&sent) {
                process.answer = Some(answer);
            }
        }
    }

    fn used(&self) -> u64 {
        self.processes.iter().map(Process::used).sum()
    }
}

/// Explores, and answers how many states there were and the most that was used of them in any.
fn explore(scope: Scope) -> (usize, u64) {
    let mut seen = HashSet::new();
    let mut ahead = VecDeque::from([World::new(scope)]);
    let mut most = 0;
    while let Some(world) = ahead.pop_front() {
        most = most.max(world.used());
        assert!(world.used() <= scope.limit, "{world:#?}");
        let next = world.next(scope).into_iter();
        ahead.extend(next.filter(|next| seen.insert(fingerprint(next))));
    }
    (seen.len(), most)
}

/// Goes one way of many to the end, and answers the most that was used on it.
fn walk(scope: Scope, seed: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new(scope);
    let mut most = 0;
    loop {
        most = most.max(world.used());
        assert!(world.used() <= scope.limit, "{seed}: {world:#?}");
        match world.next(scope).into_iter().choose(&mut rng) {
            Some(next) => world = next,
            None => return most,
        }
    }
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn is_nightly() -> bool {
    std::env::var_os("TOWER_BEDROCK_NIGHTLY").is_some()
}

#[test]
fn two_processes_never_use_more_than_the_limit() {
    let scope = Scope {
        processes: 2,
        limit: 2,
        seconds: if is_nightly() { 4 } else { 2 },
        flushes: false,
        killed: false,
    };
    let (states, most) = explore(scope);
    eprintln!("{states} states");
    assert_eq!(most, scope.limit);
    assert!(states > 1_000, "{states}");
}

#[test]
fn three_processes_never_use_more_than_the_limit_whatever_happens() {
    for (flushes, killed) in [(false, false), (true, false), (false, true)] {
        let scope = Scope {
            processes: 3,
            limit: 7,
            seconds: 14,
            flushes,
            killed,
        };
        let walks = if is_nightly() { 200_000 } else { 500 };
        let most = (0..walks).map(|seed| walk(scope, seed)).max();
        assert_eq!(most, Some(scope.limit));
    }
}
