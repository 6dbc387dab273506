//! Real processes around a real redis-server, killed with SIGKILL; a store that is flushed, and one that fails over to
//! its replica. Their time is simulated: the processes go on in steps, all together, and the server is told the
//! time that they have.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write as _, stdin},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread,
};

use redis::{Client, Connection, Script};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Duration, Instant, sleep, sleep_until},
};
use tower_bedrock_core::{Context, Demand, Target};
use tower_bedrock_quota::{
    LimitTable, Limiter, Limits, QuotaPattern,
    fleet::{Answer, Answering, Fleet, Renewal, Store, StoreError},
};

#[path = "support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the other tests")]
mod redis_server;

use redis_server::RedisServer;

/// The program's own name for a process of the fleet: where the variable is set, a test of this file is one.
const ROLE: &str = "TOWER_BEDROCK_FLEET_PROCESS";
/// How many milliseconds its clock had run before the simulation began, and how many microseconds it gains in a second.
const CLOCK: &str = "TOWER_BEDROCK_FLEET_CLOCK";
/// How many tokens a day there are, of all processes together.
const DAY: &str = "TOWER_BEDROCK_FLEET_DAY";
const LIMIT: u64 = 60_000;
const TOKENS: u64 = 50;
const CALLERS: usize = 10;
const STEP: u64 = 500;
const MINUTE: u64 = 60_000;
/// More than a step takes on a machine with other things to do.
const LONG: Duration = Duration::from_secs(60);

fn target() -> Target {
    Target::parse("us-east-1", "acme.small-1").unwrap()
}

// === in a process of the fleet ===

/// The server, called at the time of the simulation. Nothing else happens in the process until it has answered.
struct Timed {
    connection: Mutex<Option<Connection>>,
    url: Arc<Mutex<String>>,
    clock: Clock,
}

/// A process's clock, which began at a moment of its own and runs at a speed of its own.
#[derive(Clone, Copy)]
struct Clock {
    /// When the simulation began, by this clock.
    start: Instant,
    /// So many microseconds it gains in a second.
    gains: i64,
}

impl Clock {
    /// Milliseconds of the simulation.
    fn now(self) -> u64 {
        self.start.elapsed().as_nanos() as u64 / (1_000_000 + self.gains) as u64
    }

    /// What it shows after so many milliseconds of the simulation.
    fn shows(self, milliseconds: u64) -> Duration {
        Duration::from_nanos(milliseconds * (1_000_000 + self.gains) as u64)
    }
}

impl Timed {
    fn call(&self, key: &str, renewal: &Renewal) -> redis::RedisResult<Vec<u64>> {
        let now = 1_000_000 + self.clock.now();
        let script = Script::new(renewal.script());
        let mut call = script.key(key);
        for argument in renewal.arguments(Some(now)) {
            call.arg(argument);
        }
        let mut connection = self.connection.lock().unwrap();
        let mut open = match connection.take() {
            Some(open) => open,
            None => Client::open(self.url.lock().unwrap().as_str())?.get_connection()?,
        };
        let numbers = call.invoke(&mut open)?;
        *connection = Some(open);
        Ok(numbers)
    }
}

impl Store for Timed {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(async move {
            let numbers = self.call(key, renewal);
            let numbers = numbers.map_err(|error| StoreError::Failed(error.to_string()))?;
            Answer::from_numbers(&numbers)
        })
    }
}

/// Calls one after the other, as fast as the quota allows, and notes when they were.
async fn repeat(limiter: Limiter, clock: Clock, calls: Arc<Mutex<Vec<u64>>>) {
    loop {
        let demand = Demand::new(TOKENS).with_max_output_tokens(0);
        match limiter.reserve(&target(), &demand, &Context::new()).await {
            Ok(mut reservation) => {
                reservation.sent();
                calls.lock().unwrap().push(clock.now());
                sleep(Duration::from_millis(100)).await;
            }
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// A process of the fleet, where the program was started as one. Each line that it reads is a step: the server's
/// address. Each that it writes says when its calls were.
#[test]
fn process() {
    let Ok(number) = env::var(ROLE) else {
        return;
    };
    let runtime: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut clock = env::var(CLOCK).unwrap();
        let gains = clock.split_off(clock.find(' ').unwrap()).trim().parse();
        let lead = Duration::from_millis(clock.parse().unwrap());
        let clock = Clock {
            start: Instant::now() + lead,
            gains: gains.unwrap(),
        };
        let url = Arc::new(Mutex::new(String::new()));
        let store = Timed {
            connection: Mutex::new(None),
            url: Arc::clone(&url),
            clock,
        };
        let number: u128 = number.parse().unwrap();
        let fleet = Fleet::builder(store).id((number + 1) << 64).build();
        let (fleet, worker) = fleet.unwrap();
        let limits = Limits::new().with_tokens_per_minute(LIMIT);
        let day = env::var(DAY).unwrap().parse().unwrap();
        let table = LimitTable::new().with(QuotaPattern::any(), limits);
        let limiter = Limiter::builder()
            .limits(table.with_tokens_per_day("*", day))
            .fleet(fleet)
            .build()
            .unwrap();
        tokio::spawn(worker.run());
        sleep(lead).await;
        let calls = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..CALLERS {
            tokio::spawn(repeat(limiter.clone(), clock, Arc::clone(&calls)));
        }
        for (step, line) in (1..).zip(stdin().lines()) {
            *url.lock().unwrap() = line.unwrap();
            sleep_until(clock.start + clock.shows(step * STEP)).await;
            let made = std::mem::take(&mut *calls.lock().unwrap());
            let made: Vec<String> = made.iter().map(u64::to_string).collect();
            println!("calls {}", made.join(" "));
        }
    });
}

// === the test's side ===

/// A process of the fleet.
struct Process {
    child: Child,
    input: ChildStdin,
    /// The lines that it writes.
    output: Receiver<String>,
}

impl Process {
    fn start(number: usize, clock: (u64, i64), day: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "process", "--nocapture"])
            .env(ROLE, number.to_string())
            .env(CLOCK, format!("{} {}", clock.0, clock.1))
            .env(DAY, day.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (says, output) = mpsc::channel();
        thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(says.send(line)));
        });
        Self {
            input: child.stdin.take().unwrap(),
            output,
            child,
        }
    }

    fn step(&mut self, url: &str) -> Vec<u64> {
        writeln!(self.input, "{url}").unwrap();
        loop {
            let line = self.output.recv_timeout(LONG).expect("it goes on");
            if let Some((_, calls)) = line.split_once("calls ") {
                return calls
                    .split_whitespace()
                    .map(|at| at.parse().unwrap())
                    .collect();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Fleets {
    processes: Vec<Option<Process>>,
    now: u64,
    /// What was used, by when.
    used: BTreeMap<u64, u64>,
    by_process: Vec<u64>,
    allowed: u64,
}

impl Fleets {
    fn start(processes: usize) -> Self {
        Self::with_clocks(&vec![(0, 0); processes])
    }

    fn with_clocks(clocks: &[(u64, i64)]) -> Self {
        Self::with_day(clocks, 1_000_000_000)
    }

    fn with_day(clocks: &[(u64, i64)], day: u64) -> Self {
        let processes = clocks.iter().enumerate();
        Self {
            processes: processes
                .map(|(number, clock)| Some(Process::start(number, *clock, day)))
                .collect(),
            now: 0,
            used: BTreeMap::new(),
            by_process: vec![0; clocks.len()],
            allowed: LIMIT,
        }
    }

    fn run_until(&mut self, url: &str, until: u64) {
        while self.now < until {
            self.now += STEP;
            for (number, process) in self.processes.iter_mut().enumerate() {
                let made = process
                    .as_mut()
                    .map(|process| process.step(url))
                    .unwrap_or_default();
                for at in made {
                    *self.used.entry(at).or_default() += TOKENS;
                    self.by_process[number] += TOKENS;
                }
            }
        }
        let most = self.most();
        assert!(most <= self.allowed, "{most} in one minute");
    }

    fn total(&self) -> u64 {
        self.used.values().sum()
    }

    /// SIGKILL.
    fn kill(&mut self, number: usize) {
        self.processes[number] = None;
    }

    fn used(&self, from: u64, until: u64) -> f64 {
        let used: u64 = self.used.range(from..until).map(|(_, tokens)| tokens).sum();
        used as f64 * MINUTE as f64 / (LIMIT * (until - from)) as f64
    }

    /// The most that was used in any minute.
    fn most(&self) -> u64 {
        let within = |at: u64| {
            self.used
                .range(at..at + MINUTE)
                .map(|(_, tokens)| tokens)
                .sum()
        };
        self.used.keys().map(|at| within(*at)).max().unwrap_or(0)
    }
}

#[test]
fn two_to_sixteen_processes_share_a_quota_until_some_are_killed() {
    let server = RedisServer::start();
    for processes in [2, 16] {
        let url = format!("{}/{}", server.url(), processes % 16);
        let mut fleet = Fleets::start(processes);
        fleet.run_until(&url, 4 * MINUTE);
        let used = fleet.used(2 * MINUTE, 4 * MINUTE);
        assert!(used >= 0.98, "{processes}: {used}");
        for number in 0..processes / 2 {
            fleet.kill(number);
        }
        fleet.run_until(&url, 9 * MINUTE);
        let used = fleet.used(8 * MINUTE, 9 * MINUTE);
        assert!(used >= 0.97, "{processes}: {used}");
    }
}

/// What is shared, and what comes back of a process that is killed.
fn goes_on(mut fleet: Fleets, server: &RedisServer) {
    fleet.run_until(&server.url(), 4 * MINUTE);
    let used = fleet.used(2 * MINUTE, 4 * MINUTE);
    assert!(used >= 0.98, "{used}");
    fleet.kill(0);
    fleet.run_until(&server.url(), 9 * MINUTE);
    let used = fleet.used(8 * MINUTE, 9 * MINUTE);
    assert!(used >= 0.97, "{used}");
}

#[test]
fn clocks_five_seconds_apart_either_way_lose_nothing_and_exceed_nothing() {
    let server = RedisServer::start();
    let clocks = [(0, 0), (5_000, 0), (10_000, 0), (2_500, 0)];
    goes_on(Fleets::with_clocks(&clocks), &server);
}

/// As fast or slow as NTP would have them at the most. A minute of a clock that is fast is over early, and what was used
/// at its beginning may be used again: by so much the limit is exceeded.
#[test]
fn clocks_of_other_speeds_lose_nothing_and_exceed_little() {
    let server = RedisServer::start();
    let clocks = [(0, 500), (5_000, 0), (10_000, -500), (2_500, -200)];
    let mut fleet = Fleets::with_clocks(&clocks);
    fleet.allowed = LIMIT + LIMIT / 50;
    goes_on(fleet, &server);
}

#[test]
fn a_store_that_is_flushed_or_fails_over_gives_nothing_away_twice() {
    let primary = RedisServer::start();
    let replica =
        RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let command = |server: &RedisServer, words: &[&str]| {
        let mut connection = Client::open(server.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let mut command = redis::cmd(words[0]);
        command
            .arg(&words[1..])
            .query::<redis::Value>(&mut connection)
            .unwrap()
    };
    let mut fleet = Fleets::start(3);
    fleet.run_until(&primary.url(), 3 * MINUTE);
    command(&primary, &["FLUSHALL"]);
    fleet.run_until(&primary.url(), 5 * MINUTE);

    // Whatever was written has arrived: what a failover loses is told in the documentation.
    let mut connection = Client::open(primary.url())
        .unwrap()
        .get_connection()
        .unwrap();
    redis::cmd("SET")
        .arg("last")
        .arg("write")
        .exec(&mut connection)
        .unwrap();
    let arrived: u64 = redis::cmd("WAIT")
        .arg(1)
        .arg(60_000)
        .query(&mut connection)
        .unwrap();
    assert_eq!(arrived, 1);
    command(&replica, &["REPLICAOF", "NO", "ONE"]);
    drop(primary);
    fleet.run_until(&replica.url(), 9 * MINUTE);
    let used = fleet.used(7 * MINUTE, 9 * MINUTE);
    assert!(used >= 0.97, "{used}");
}

const DAILY: u64 = 200_000;

#[test]
fn a_day_is_shared_and_a_killed_process_loses_no_more_than_its_slice() {
    let server = RedisServer::start();
    let clocks = [(0, 0), (5_000, 0), (10_000, 0), (2_500, 0)];
    let mut fleet = Fleets::with_day(&clocks, DAILY);
    fleet.run_until(&server.url(), 2 * MINUTE);
    let before = fleet.total();
    fleet.kill(0);
    fleet.run_until(&server.url(), 10 * MINUTE);
    let used = fleet.total();
    assert!((DAILY / 3..DAILY / 2 + LIMIT).contains(&before), "{before}");
    // In half a minute a quarter of the limit is used.
    assert!((DAILY - LIMIT / 8..=DAILY).contains(&used), "{used}");
}

#[test]
fn a_day_that_the_store_forgets_is_told_again() {
    let server = RedisServer::start();
    let flush = || {
        let client = Client::open(server.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    };
    let mut fleet = Fleets::with_day(&[(0, 0); 3], DAILY);
    for minute in [1, 2, 5] {
        fleet.run_until(&server.url(), minute * MINUTE);
        flush();
    }
    fleet.run_until(&server.url(), 12 * MINUTE);
    let used = fleet.total();
    assert!((DAILY * 95 / 100..=DAILY).contains(&used), "{used}");
}
