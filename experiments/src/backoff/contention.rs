//! AWS's model of optimistic concurrency: clients that each write one row once, and try again when somebody
//! else's write came between their read and their write.
//!
//! Written after the description and the published simulator (aws-samples/aws-arch-backoff-simulator): a
//! message takes `|N(10, 2)|` ms, a read answers the row's version, a write succeeds where the version is
//! still that, and only writes are counted as calls. A client's n-th backoff, counted from one, is
//! `min(cap, base * 2^n)`, so the first is already twice the base.

use std::{cmp::Ordering, collections::BinaryHeap};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Normal, NormalError};
use tokio::time::Duration;
use tower_bedrock::retry::Backoff;

/// What it took until every client had written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Writes, the failed ones included.
    pub calls: u32,
    /// Until the last client knew that it had written.
    pub milliseconds: f64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A read reaches the row.
    Read,
    /// Its answer reaches the client.
    ReadAnswered { version: u32 },
    /// A write reaches the row.
    Write { version: u32 },
    /// Its answer reaches the client.
    WriteAnswered { written: bool },
}

#[derive(Clone, Copy, Debug)]
struct Message {
    at: f64,
    /// Messages due together are delivered in the order they were sent.
    sent: u64,
    client: usize,
    step: Step,
}

/// The failures of one client so far, and its last delay.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    failures: u32,
    previous: Option<Duration>,
}

/// Runs it once; `None` never waits.
///
/// # Errors
///
/// None, with the constants there are.
pub fn run(clients: usize, backoff: Option<&Backoff>, seed: u64) -> Result<Outcome, NormalError> {
    let network = Normal::new(10.0, 2.0)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut row = 0;
    let mut calls = 0;
    let mut state = vec![Client::default(); clients];
    let mut queue = BinaryHeap::new();
    let mut sent = 0;
    let mut send = |queue: &mut BinaryHeap<Message>, at, client, step| {
        sent += 1;
        queue.push(Message {
            at,
            sent,
            client,
            step,
        });
    };

    for client in 0..clients {
        send(&mut queue, delay(network, &mut rng), client, Step::Read);
    }
    let mut now = 0.0;
    while let Some(message) = queue.pop() {
        now = message.at;
        let mut wait = 0.0;
        let next = match message.step {
            Step::Read => Step::ReadAnswered { version: row },
            Step::ReadAnswered { version } => Step::Write { version },
            Step::Write { version } => {
                calls += 1;
                let written = version == row;
                row += u32::from(written);
                Step::WriteAnswered { written }
            }
            Step::WriteAnswered { written: true } => continue,
            Step::WriteAnswered { written: false } => {
                let client = &mut state[message.client];
                client.failures += 1;
                if let Some(backoff) = backoff {
                    let delay = backoff.delay(client.failures, client.previous, &mut rng);
                    client.previous = Some(delay);
                    wait = delay.as_secs_f64() * 1_000.0;
                }
                Step::Read
            }
        };
        let at = now + wait + delay(network, &mut rng);
        send(&mut queue, at, message.client, next);
    }
    Ok(Outcome {
        calls,
        milliseconds: now,
    })
}

fn delay(network: Normal<f64>, rng: &mut impl Rng) -> f64 {
    network.sample(rng).abs()
}

/// The earliest first: a heap gives its greatest.
impl Ord for Message {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = other.at.total_cmp(&self.at);
        by_time.then_with(|| other.sent.cmp(&self.sent))
    }
}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Message {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_a_client_writes_once() {
        let outcome = run(1, None, 7).unwrap();
        assert_eq!(outcome.calls, 1);
        assert!((20.0..60.0).contains(&outcome.milliseconds));
    }

    #[test]
    fn one_writes_every_round_without_backoff() {
        // So n clients make about n * (n + 1) / 2 calls, fewer as the rounds drift apart.
        let outcome = run(20, None, 7).unwrap();
        assert!((20..=210).contains(&outcome.calls), "{outcome:?}");
    }
}
