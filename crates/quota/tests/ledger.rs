//! The limiter against a ledger that keeps everything and adds it up anew each time, whatever happens in
//! whatever order: calls let through, waiting, held, sent, settled for less and for more, refused, dropped;
//! limits changed; time passing.
//!
//! A few thousand steps in the normal run; ten million with `TOWER_BEDROCK_NIGHTLY=1`.

#![allow(clippy::unwrap_used)]

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use proptest::{prelude::*, test_runner::Config};
use tokio::time::{Instant, advance};
use tower_bedrock_core::{Completion, Context, Demand, Fault, FaultKind, Target, TokenUsage};
use tower_bedrock_quota::{
    Estimate, Exhausted, Limit, LimitTable, Limiter, Limits, QuotaPattern, Reason, Reservation,
    Window,
};

const MINUTE: Duration = Duration::from_secs(60);
/// How late the sliding window may forget.
const SLOT: Duration = Duration::from_millis(477);

#[derive(Clone, Debug)]
enum Step {
    Reserve { tokens: u64, hold: bool },
    Queue(u64),
    Send(usize),
    Complete { which: usize, percent: u64 },
    Fail(usize, FaultKind),
    Drop(usize),
    Wait(Duration),
    SetLimits { requests: u64, tokens: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(FaultKind::Validation),
        Just(FaultKind::ModelOverloaded),
        Just(FaultKind::Timeout),
        Just(FaultKind::Internal),
        Just(FaultKind::ThrottledRequests),
        Just(FaultKind::ThrottledTokens),
        Just(FaultKind::Throttled),
    ];
    prop_oneof![
        8 => (1..6_000_u64, any::<bool>()).prop_map(|(tokens, hold)| Step::Reserve { tokens, hold }),
        2 => (0..6_000_u64).prop_map(Step::Queue),
        4 => any::<usize>().prop_map(Step::Send),
        5 => (any::<usize>(), 0..300_u64).prop_map(|(which, percent)| Step::Complete { which, percent }),
        2 => (any::<usize>(), fault).prop_map(|(which, kind)| Step::Fail(which, kind)),
        2 => any::<usize>().prop_map(Step::Drop),
        4 => (0..400_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        4 => (0..3_000_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        2 => (0..80_000_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => (1..30_u64, 1_000..20_000_u64).prop_map(|(requests, tokens)| Step::SetLimits { requests, tokens }),
    ]
}

/// One call in the ledger.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it was let through, by the limits of that moment.
    admitted: Instant,
    /// When it counts from; until it is sent, it counts always.
    sent: Option<Instant>,
    tokens: u64,
    requests: u64,
}

#[derive(Default)]
struct Ledger {
    entries: Vec<Entry>,
    /// What was used beyond reservations, when it became known.
    overshoots: Vec<(Instant, u64)>,
    limits: Vec<(Instant, u64, u64)>,
}

impl Ledger {
    fn used(&self, span: Duration, now: Instant) -> (u64, u64) {
        let inside = |at: Instant| at + span > now;
        let calls = self
            .entries
            .iter()
            .filter(|entry| entry.sent.is_none_or(inside));
        let (requests, tokens) = calls.fold((0, 0), |(requests, tokens), entry| {
            (requests + entry.requests, tokens + entry.tokens)
        });
        let over = self.overshoots.iter().filter(|(at, _)| inside(*at));
        (
            requests,
            tokens + over.map(|(_, tokens)| tokens).sum::<u64>(),
        )
    }

    /// The highest limits there have been since the first call was let through that counts in the span that
    /// ends now.
    fn highest(&self, span: Duration, now: Instant) -> (u64, u64) {
        let counts = |entry: &&Entry| entry.sent.is_none_or(|at| at + span > now);
        let admitted = self
            .entries
            .iter()
            .filter(counts)
            .map(|entry| entry.admitted);
        let span = admitted.map(|at| now - at).fold(span, Duration::max);
        let last = self.limits.len() - 1;
        let in_force = (0..=last)
            .filter(|i| *i == last || self.limits[i + 1].0 + span >= now)
            .map(|i| self.limits[i]);
        in_force.fold((0, 0), |(requests, tokens), limit| {
            (requests.max(limit.1), tokens.max(limit.2))
        })
    }

    /// What holds whenever a call has just been let through.
    fn check(&self, now: Instant) {
        for windows in 1..=3 {
            let span = MINUTE * windows;
            let (requests, tokens) = self.used(span, now);
            let (most_requests, most_tokens) = self.highest(span, now);
            assert!(
                requests <= u64::from(windows) * most_requests,
                "{requests} requests in {windows} windows of {most_requests}"
            );
            assert!(
                tokens <= u64::from(windows) * most_tokens,
                "{tokens} tokens in {windows} windows of {most_tokens}"
            );
        }
    }

    /// What holds while a call waits that is the next: it does not fit. Debts make it hard to say when a
    /// window has room, but not where all that was ever used is within the limit.
    fn check_wait(&self, asked: u64, now: Instant) {
        const EVER: Duration = Duration::from_secs(365 * 24 * 3_600);
        let (requests, tokens) = self.used(EVER, now);
        let (_, most_requests, most_tokens) = self.limits[self.limits.len() - 1];
        assert!(
            requests + 1 > most_requests || tokens + asked > most_tokens,
            "{asked} tokens wait with {tokens} in {requests} requests in use"
        );
    }

    /// What holds when a call was turned away: it was in earnest.
    fn check_refusal(&self, exhausted: &Exhausted, asked: u64, now: Instant) {
        let (_, most_requests, most_tokens) = self.limits[self.limits.len() - 1];
        let (requests, tokens) = self.used(MINUTE + SLOT, now);
        match (exhausted.reason, exhausted.limit) {
            (Reason::TooLarge, Limit::TokensPerMinute) => assert!(asked > most_tokens),
            (Reason::WaitTooLong, Limit::RequestsPerMinute) => {
                assert!(requests + 1 > most_requests, "{exhausted}");
            }
            (Reason::WaitTooLong, Limit::TokensPerMinute) => {
                // Debt may be worked off later than it was run up.
                let clear = self.overshoots.is_empty();
                assert!(
                    !clear || tokens + asked > most_tokens,
                    "{exhausted}: {tokens} in use"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

type Reserving<'a> = Pin<Box<dyn Future<Output = Result<Reservation, Exhausted>> + 'a>>;

struct AsDeclared;

impl Estimate for AsDeclared {
    fn input_tokens(&self, _: &str, demand: &Demand) -> u64 {
        demand.input_tokens()
    }
}

fn limits(window: Window, requests: u64, tokens: u64) -> LimitTable {
    let limits = Limits::new()
        .with_requests_per_minute(requests)
        .with_tokens_per_minute(tokens)
        .with_window(window);
    LimitTable::new().with(QuotaPattern::any(), limits)
}

fn used(tokens: u64) -> Completion {
    Completion::complete(Some(TokenUsage {
        input: tokens,
        ..TokenUsage::default()
    }))
}

/// With `learn`, the limits kept to may be lower than those declared, and are never higher.
async fn walk(steps: Vec<Step>, learn: bool) {
    let limiter = Limiter::builder()
        .limits(limits(Window::Sliding, 20, 10_000))
        .estimate(AsDeclared)
        .delay_variation(Duration::ZERO)
        .learn(learn)
        .build()
        .unwrap();
    let target = Target::parse("us-east-1", "acme.small-1").unwrap();
    let context = Context::new();
    let mut ledger = Ledger::default();
    ledger.limits.push((Instant::now(), 20, 10_000));
    // Reservations, with their entries.
    let mut open: Vec<(Reservation, usize)> = Vec::new();
    // Calls that wait, in the order they came.
    let mut queue: Vec<(Reserving<'_>, u64)> = Vec::new();
    for step in steps {
        let now = Instant::now();
        let mut pick = |which: usize| {
            (!open.is_empty()).then(|| {
                let which = which % open.len();
                open.swap_remove(which)
            })
        };
        match step {
            Step::Reserve { tokens, hold } => {
                let demand = Demand::new(tokens).with_max_output_tokens(0);
                match limiter.try_reserve(&target, &demand, &context) {
                    Ok(mut reservation) => {
                        if hold {
                            reservation.hold();
                        } else {
                            reservation.sent();
                        }
                        open.push((reservation, ledger.entries.len()));
                        ledger.entries.push(Entry {
                            admitted: now,
                            sent: (!hold).then_some(now),
                            tokens,
                            requests: 1,
                        });
                        ledger.check(now);
                    }
                    // It may be room for those who wait.
                    Err(_) if learn || !queue.is_empty() => {}
                    Err(exhausted) => ledger.check_refusal(&exhausted, tokens, now),
                }
            }
            Step::Queue(tokens) => {
                let (limiter, target, context) = (&limiter, &target, &context);
                let demand = Demand::new(tokens).with_max_output_tokens(0);
                let reserve = async move { limiter.reserve(target, &demand, context).await };
                queue.push((Box::pin(reserve), tokens));
            }
            Step::Send(which) => {
                if let Some((mut reservation, entry)) = pick(which) {
                    reservation.sent();
                    ledger.entries[entry].sent.get_or_insert(now);
                    open.push((reservation, entry));
                }
            }
            Step::Complete { which, percent } => {
                if let Some((reservation, entry)) = pick(which) {
                    let entry = &mut ledger.entries[entry];
                    entry.sent.get_or_insert(now);
                    let cost = entry.tokens * percent / 100;
                    reservation.complete(&used(cost));
                    if cost > entry.tokens {
                        ledger.overshoots.push((now, cost - entry.tokens));
                    } else {
                        entry.tokens = cost;
                    }
                }
            }
            Step::Fail(which, kind) => {
                if let Some((reservation, entry)) = pick(which) {
                    reservation.fail(&Fault::new(kind));
                    let entry = &mut ledger.entries[entry];
                    entry.sent.get_or_insert(now);
                    if !matches!(kind, FaultKind::Timeout | FaultKind::Internal) {
                        (entry.tokens, entry.requests) = (0, 0);
                    }
                }
            }
            Step::Drop(which) => {
                if let Some((reservation, entry)) = pick(which) {
                    drop(reservation);
                    let entry = &mut ledger.entries[entry];
                    if entry.sent.is_none() {
                        entry.sent = Some(now);
                        (entry.tokens, entry.requests) = (0, 0);
                    }
                }
            }
            Step::Wait(time) => advance(time).await,
            Step::SetLimits { requests, tokens } => {
                limiter
                    .set_limits(limits(Window::Sliding, requests, tokens))
                    .unwrap();
                ledger.limits.push((now, requests, tokens));
            }
        }
        let now = Instant::now();
        queue.retain_mut(|(reserve, tokens)| {
            let mut cx = TaskContext::from_waker(Waker::noop());
            let outcome = reserve.as_mut().poll(&mut cx);
            if let Poll::Ready(Ok(mut reservation)) = outcome {
                // One that found room at once is not.
                reservation.hold();
                open.push((reservation, ledger.entries.len()));
                ledger.entries.push(Entry {
                    admitted: now,
                    sent: None,
                    tokens: *tokens,
                    requests: 1,
                });
                ledger.check(now);
                return false;
            }
            outcome.is_pending()
        });
        if let (Some((_, tokens)), false) = (queue.first(), learn) {
            ledger.check_wait(*tokens, now);
        }
    }
    // Ends level: nothing outstanding, nothing in use, all of the limit free.
    queue.clear();
    open.clear();
    let owed: u64 = ledger.overshoots.iter().map(|(_, tokens)| tokens).sum();
    let (_, _, most) = ledger.limits[ledger.limits.len() - 1];
    let windows = u32::try_from(owed / most).unwrap() + 3;
    // Long enough for debts at a limit that was taught to be low, and for it to be believed again.
    advance(
        MINUTE * windows
            + if learn {
                MINUTE * 60 * 24
            } else {
                Duration::ZERO
            },
    )
    .await;
    if let Some(snapshot) = limiter.snapshot(&target) {
        assert_eq!(
            (snapshot.calls_in_flight, snapshot.tokens_in_flight),
            (0, 0)
        );
        for level in [snapshot.requests_per_minute, snapshot.tokens_per_minute] {
            assert_eq!((level.used, level.debt), (0, 0));
        }
    }
    let all = Demand::new(most).with_max_output_tokens(0);
    drop(limiter.try_reserve(&target, &all, &context).unwrap());
}

fn nightly() -> bool {
    std::env::var_os("TOWER_BEDROCK_NIGHTLY").is_some()
}

#[test]
fn never_above_the_limit_in_any_window_and_level_in_the_end() {
    let (cases, steps) = if nightly() { (20_000, 500) } else { (100, 100) };
    walks(cases, steps);
}

/// From nothing on, where all that was ever used is still known to be in use.
#[test]
fn nobody_waits_where_there_is_room() {
    walks(if nightly() { 100_000 } else { 2_000 }, 12);
}

fn walks(cases: u32, steps: usize) {
    let config = Config {
        cases,
        ..Config::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let steps = prop::collection::vec(step(), steps / 2..steps * 3 / 2);
    runner
        .run(&(steps, any::<bool>()), |(steps, learn)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(walk(steps, learn));
            Ok(())
        })
        .unwrap();
}
