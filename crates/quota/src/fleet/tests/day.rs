//! A day that a few processes share, in orders of events drawn by lot, with the code that decides: [`Part`] on each
//! process's side, [`DayLedger`] on the store's. What was used is counted apart.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    day::Part,
    fleet::{
        DayClaim,
        day::DayLedger,
        renewal::{Answer, Renewal},
    },
    time::Time,
};

const LIMIT: u64 = 40;
const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const LEASE: u64 = 10_000;

struct World {
    random: StdRng,
    /// Nanoseconds.
    now: u64,
    ledger: DayLedger,
    processes: Vec<Process>,
    /// Renewals that are on their way, or come once more.
    network: Vec<(usize, Renewal)>,
    /// When something was used, and how much.
    uses: Vec<(u64, u64)>,
    started: u128,
}

struct Process {
    id: u128,
    sequence: u64,
    part: Part,
    waits_for: Option<Renewal>,
    sent: u64,
    answer: Option<Answer>,
    /// Calls in flight: what each reserved, and its place among the uses.
    calls: Vec<(u64, usize)>,
    /// What was used, and when.
    mirror: Vec<(u64, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            now: DAY,
            ledger: DayLedger::default(),
            processes: Vec::new(),
            network: Vec::new(),
            uses: Vec::new(),
            started: 0,
        };
        for i in 0..3 {
            let process = world.process();
            world.processes.insert(i, process);
        }
        world
    }

    fn process(&mut self) -> Process {
        self.started += 1;
        Process {
            id: self.started,
            sequence: 0,
            part: Part::new(LIMIT, 3, 2 * SECOND, Time::from_nanos(self.now)),
            waits_for: None,
            sent: self.now,
            answer: None,
            calls: Vec::new(),
            mirror: Vec::new(),
        }
    }

    fn used(&self) -> u64 {
        let within = self.uses.iter().filter(|(at, _)| at + DAY > self.now);
        within.map(|(_, amount)| amount).sum()
    }

    fn step(&mut self) {
        let i = self.random.random_range(0..self.processes.len());
        match self.random.random_range(0..100) {
            0..8 => self.now += self.random.random_range(0..SECOND / 2),
            8 if self.random.random_bool(0.2) => {
                self.now += self.random.random_range(0..30 * SECOND)
            }
            9 if self.random.random_bool(0.1) => self.now += self.random.random_range(0..DAY / 4),
            10 if self.random.random_bool(0.05) => self.now += DAY,
            11 if self.random.random_bool(0.1) => {
                let process = self.process();
                self.processes[i] = process;
            }
            12 => self.leave(i),
            13..35 => self.call(i),
            35..50 => self.end(i),
            50..65 => self.renew(i),
            65..85 if !self.network.is_empty() => self.arrive(),
            _ => self.answer(i),
        }
        let now = Time::from_nanos(self.now);
        for process in &mut self.processes {
            process.part.advance(now);
            process.mirror.retain(|(at, _)| at + DAY > self.now);
        }
        assert!(self.used() <= LIMIT, "{} of {LIMIT}", self.used());
    }

    fn call(&mut self, i: usize) {
        let process = &mut self.processes[i];
        let used = process.mirror.iter().map(|(_, amount)| amount).sum();
        // One that the store does not answer is told of in the documentation.
        if process.part.is_lost() {
            return;
        }
        let tokens = self.random.random_range(1..=6);
        if process.part.room(|| used) < tokens {
            if self.random.random_bool(0.5) {
                process.part.wait(tokens, Time::from_nanos(self.now));
            } else {
                process.part.missed(tokens);
            }
            return;
        }
        process.part.reserve(tokens, Time::from_nanos(self.now));
        process.part.wait_no_more();
        process.calls.push((tokens, self.uses.len()));
        self.uses.push((self.now, tokens));
        process.mirror.push((self.now, tokens));
    }

    fn end(&mut self, i: usize) {
        let process = &mut self.processes[i];
        if let Some((tokens, at)) = process.calls.pop() {
            let cost = self.random.random_range(0..=2 * tokens).min(tokens);
            process.part.end(tokens, cost);
            self.uses[at].1 = cost;
        }
    }

    fn renewal(&mut self, i: usize, lease: u64) -> Renewal {
        let now = self.now;
        let process = &mut self.processes[i];
        process.sequence += 1;
        let used = process.mirror.iter().map(|(_, amount)| amount).sum();
        let answered = process.part.answered_at().map(Time::as_nanos);
        Renewal {
            member: process.id,
            sequence: process.sequence,
            lease,
            window: 60_000,
            reserve: 30_000,
            known: u64::from(answered.is_some()),
            silence: answered.map_or(0, |at| now - at) / 1_000_000,
            waited: 0,
            class: 1,
            claims: Default::default(),
            day: Some(process.part.claim(used)),
        }
    }

    fn send(&mut self, i: usize, renewal: Renewal) {
        if self.random.random_bool(0.1) {
            self.network.push((i, renewal.clone()));
        }
        let process = &mut self.processes[i];
        process.sent = self.now;
        process.answer = None;
        process.waits_for = Some(renewal.clone());
        self.network.push((i, renewal));
    }

    fn renew(&mut self, i: usize) {
        let renewal = self.renewal(i, LEASE);
        self.send(i, renewal);
    }

    /// It comes back at once, and has nothing.
    fn leave(&mut self, i: usize) {
        self.processes[i].part.resign();
        let renewal = self.renewal(i, 0);
        self.send(i, renewal);
        self.processes[i].part.ask_anew(Time::from_nanos(self.now));
    }

    /// In any order, and some never.
    fn arrive(&mut self) {
        let at = self.random.random_range(0..self.network.len());
        let (i, renewal) = self.network.swap_remove(at);
        if self.random.random_bool(0.1) {
            return;
        }
        let claim: DayClaim = renewal.day.unwrap();
        let answer = self.ledger.renew(self.now / 1_000_000, &renewal, &claim);
        let process = &mut self.processes[i];
        if process.waits_for.as_ref() == Some(&renewal) {
            process.answer = answer.ok().or(process.answer);
        }
    }

    fn answer(&mut self, i: usize) {
        let process = &mut self.processes[i];
        if let (Some(renewal), Some(answer)) = (&process.waits_for, process.answer.take()) {
            let claim = renewal.day.unwrap();
            let sent = Time::from_nanos(process.sent);
            let expires = (renewal.lease > 0).then(|| sent.plus(renewal.lease * 990_000));
            let part = &mut process.part;
            part.answered(&claim, &answer.day, answer.members, sent, expires);
            process.waits_for = None;
        }
    }
}

#[test]
fn no_day_holds_more_than_the_limit_whatever_is_lost_late_or_killed() {
    let walks = if std::env::var_os("TOWER_BEDROCK_NIGHTLY").is_some() {
        20_000
    } else {
        1_000
    };
    let mut most = 0;
    for seed in 0..walks {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
            most = most.max(world.used());
        }
    }
    assert_eq!(most, LIMIT);
}
