//! Every interleaving of the gate, the lock and the permits. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p tower-bedrock-breaker --lib --release loom
//! ```

#![cfg(loom)]

use loom::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Completion, FaultKind};

use super::*;
use crate::{config::Settings, permit::Permit};

/// Opens with the first failure and admits so many probes.
fn breaker(probes: u32) -> Arc<Breaker<()>> {
    with(Settings {
        consecutive_failures: Some(1),
        permitted_in_half_open: probes,
        ..Settings::default()
    })
}

/// Its window is full after two calls, and doesn't open it.
fn looks_at_two_calls() -> Arc<Breaker<()>> {
    with(Settings {
        window: crate::SlidingWindow::CountBased(2),
        failure_rate: None,
        ..Settings::default()
    })
}

fn with(settings: Settings) -> Arc<Breaker<()>> {
    let rules = Rules {
        config: settings.check().unwrap(),
        classify: Box::new(FaultClass::of),
        observer: Box::new(()),
    };
    Arc::new(Breaker::new((), Arc::new(rules), 1, Command::Close))
}

fn admit(breaker: &Arc<Breaker<()>>, now: Instant) -> Option<Permit<()>> {
    breaker.admit(|| now).ok()
}

fn succeed(permit: Permit<()>) {
    permit.completed(&Completion::complete(None), None);
}

fn fail(permit: Permit<()>) {
    permit.failed(&Fault::new(FaultKind::Unavailable));
}

/// A breaker whose open interval is over at the time that is answered with it.
fn probing(probes: u32) -> (Arc<Breaker<()>>, Instant) {
    let breaker = breaker(probes);
    let now = Instant::now();
    fail(admit(&breaker, now).unwrap());
    assert_eq!(breaker.state(), State::Open);
    (breaker, now + Duration::from_secs(3_600))
}

#[test]
fn loom_probes_are_exact() {
    // Three threads have too many interleavings to try them all.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (breaker, later) = probing(2);
        let admitted = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (breaker, admitted) = (Arc::clone(&breaker), Arc::clone(&admitted));
                thread::spawn(move || {
                    let permit = admit(&breaker, later);
                    admitted.fetch_add(usize::from(permit.is_some()), Ordering::SeqCst);
                    // Kept: given back here, the place could rightly be taken again.
                    std::mem::forget(permit);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(admitted.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn loom_a_dropped_probe_gives_its_place_back_once() {
    loom::model(|| {
        let (breaker, later) = probing(1);
        let probe = admit(&breaker, later).unwrap();
        let other = {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || admit(&breaker, later).is_some())
        };
        drop(probe);
        // The other one's probe, if it got one, has been dropped too.
        other.join().unwrap();
        let probe = admit(&breaker, later);
        assert!(probe.is_some());
        assert!(admit(&breaker, later).is_none());
    });
}

#[test]
fn loom_a_result_from_before_a_transition_never_counts_after_it() {
    loom::model(|| {
        let breaker = breaker(1);
        let now = Instant::now();
        let later = now + Duration::from_secs(3_600);
        let stale = admit(&breaker, now).unwrap();
        let failing = admit(&breaker, now).unwrap();
        let other = thread::spawn(move || succeed(stale));
        fail(failing);
        // Whether the late success came before, between or after these, it closes nothing.
        let probe = admit(&breaker, later).unwrap();
        other.join().unwrap();
        assert_eq!(breaker.state(), State::HalfOpen);
        succeed(probe);
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn loom_racing_failures_open_once() {
    loom::model(|| {
        let breaker = breaker(1);
        let now = Instant::now();
        let permits = [admit(&breaker, now).unwrap(), admit(&breaker, now).unwrap()];
        let threads = permits.map(|permit| thread::spawn(move || fail(permit)));
        for thread in threads {
            thread.join().unwrap();
        }
        let seen = breaker.snapshot(now);
        assert_eq!(
            (seen.state, seen.trips, seen.generation),
            (State::Open, 1, 2)
        );
    });
}

#[test]
fn loom_nothing_passes_the_gate_after_it_was_shut() {
    loom::model(|| {
        let breaker = breaker(1);
        let now = Instant::now();
        let shut = Arc::new(AtomicUsize::new(0));
        let other = {
            let (breaker, shut) = (Arc::clone(&breaker), Arc::clone(&shut));
            thread::spawn(move || {
                let was_shut = shut.load(Ordering::SeqCst) == 1;
                let passed = admit(&breaker, now).is_some();
                assert!(!(was_shut && passed), "passed a gate that was shut");
            })
        };
        breaker.command(Command::ForceOpen);
        shut.store(1, Ordering::SeqCst);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_call_admitted_while_it_closes_counts_in_the_generation_it_was_admitted_in() {
    loom::model(|| {
        let (breaker, later) = probing(1);
        let probe = admit(&breaker, later).unwrap();
        let other = {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || {
                // Turned away while half-open, or admitted by the closed breaker: then it opens it.
                let permit = admit(&breaker, later);
                let passed = permit.is_some();
                permit.into_iter().for_each(fail);
                passed
            })
        };
        succeed(probe);
        let expected = if other.join().unwrap() {
            State::Open
        } else {
            State::Closed
        };
        assert_eq!(breaker.state(), expected);
    });
}

#[test]
fn loom_a_success_that_is_not_counted_came_before_the_failure() {
    loom::model(|| {
        let breaker = looks_at_two_calls();
        let now = Instant::now();
        let call = || admit(&breaker, now).unwrap();
        succeed(call());
        succeed(call());
        // The window is full of successes: the next one is counted only where a failure was before it.
        let (failing, succeeding) = (call(), call());
        let failed = Arc::new(AtomicUsize::new(0));
        let other = {
            let failed = Arc::clone(&failed);
            thread::spawn(move || {
                fail(failing);
                failed.store(1, Ordering::SeqCst);
            })
        };
        let after_the_failure = failed.load(Ordering::SeqCst) == 1;
        succeed(succeeding);
        other.join().unwrap();
        let seen = breaker.snapshot(now);
        assert_eq!((seen.calls, seen.failures), (2, 1));
        assert!(!after_the_failure || seen.consecutive_failures == 0);
    });
}

#[test]
fn loom_what_is_read_without_the_lock_is_never_left_behind() {
    loom::model(|| {
        let breaker = looks_at_two_calls();
        let now = Instant::now();
        let call = || admit(&breaker, now).unwrap();
        succeed(call());
        // One fills the window with successes, the other ends that.
        let (succeeding, failing) = (call(), call());
        let other = thread::spawn(move || succeed(succeeding));
        fail(failing);
        other.join().unwrap();
        succeed(call());
        assert_eq!(breaker.snapshot(now).consecutive_failures, 0);
    });
}

#[test]
fn loom_the_gate_stands_as_the_last_command_left_it() {
    loom::model(|| {
        let breaker = breaker(1);
        let other = {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || breaker.command(Command::Reset))
        };
        breaker.command(Command::ForceOpen);
        other.join().unwrap();
        let passes = admit(&breaker, Instant::now()).is_some();
        assert_eq!(passes, breaker.state() == State::Closed);
    });
}
