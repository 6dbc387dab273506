//! What can be configured, and what is refused.

use tokio::time::Duration;
use tower_bedrock_core::FaultKind;
use tower_bedrock_retry::{Backoff, Budget, Plan, Policy, Schedule};

use crate::common::secs;

#[test]
fn the_default_plan_is_the_table_in_its_docs() {
    use FaultKind::*;
    // Kind, immediate retries, base in seconds, aligned.
    let table = [
        (ThrottledRequests, 0, 1, true),
        (ThrottledTokens, 0, 1, true),
        (Throttled, 0, 1, false),
        (ModelOverloaded, 0, 1, false),
        (ModelNotReady, 0, 2, false),
        (TooManyConnections, 0, 2, false),
        (Unavailable, 1, 2, false),
        (Internal, 0, 1, false),
        (Overloaded, 0, 1, false),
        (Transport, 1, 1, false),
        (Timeout, 0, 1, false),
    ]
    .map(|(kind, immediate, base, aligned)| {
        let schedule = Schedule::new(Backoff::new(secs(base), secs(60)).unwrap());
        let schedule = schedule.with_immediate(immediate).with_alignment(aligned);
        (kind, schedule)
    });
    let plan = Plan::default();
    let found: Vec<_> = plan.iter().map(|(kind, s)| (kind, *s)).collect();
    assert_eq!(found, table);
}

#[test]
fn the_callers_mistakes_local_rejections_and_the_unknown_are_never_retried() {
    let plan = Plan::default();
    for kind in FaultKind::ALL {
        if kind.is_callers_mistake() || kind.is_local() || kind == FaultKind::Unknown {
            assert_eq!(plan.schedule(kind), None, "{kind}");
        }
    }
    assert_eq!(plan.schedule(FaultKind::ThrottledTokensPerDay), None);
}

#[test]
fn a_plan_can_be_overridden() {
    let mine = Schedule::new(Backoff::new(secs(9), secs(9)).unwrap());
    let plan = Plan::default()
        .with(FaultKind::ModelTimeout, mine)
        .with(FaultKind::Internal, mine)
        .without(FaultKind::Overloaded);
    assert_eq!(plan.schedule(FaultKind::ModelTimeout), Some(&mine));
    assert_eq!(plan.schedule(FaultKind::Internal), Some(&mine));
    assert_eq!(plan.schedule(FaultKind::Overloaded), None);
    assert_eq!(Plan::empty().iter().count(), 0);
}

#[test]
fn refusals_name_the_setting_the_value_and_what_is_accepted() {
    let policy = |builder: tower_bedrock_retry::PolicyBuilder| builder.build().unwrap_err();
    let budget = |builder: tower_bedrock_retry::BudgetBuilder| builder.build().unwrap_err();
    let refusals = [
        (
            policy(Policy::builder().max_attempts(0)),
            "max_attempts is 0: expected 1 to 1000",
        ),
        (
            policy(Policy::builder().max_attempts(1_001)),
            "max_attempts is 1001: expected 1 to 1000",
        ),
        (
            policy(Policy::builder().max_elapsed(Duration::ZERO)),
            "max_elapsed is 0ns: expected more than zero, or none",
        ),
        (
            budget(Budget::builder().percent(1_001)),
            "percent is 1001: expected 0 to 1000",
        ),
        (
            budget(Budget::builder().floor_per_second(f64::NAN)),
            "floor_per_second is NaN: expected 0, or 0.001 to 1000",
        ),
        (
            budget(Budget::builder().floor_per_second(-1.0)),
            "floor_per_second is -1.0: expected 0, or 0.001 to 1000",
        ),
        (
            budget(Budget::builder().floor_per_second(1e-9)),
            "floor_per_second is 1e-9: expected 0, or 0.001 to 1000",
        ),
        (
            budget(Budget::builder().burst(0)),
            "burst is 0: expected 1 to 100000",
        ),
        (
            budget(Budget::builder().max_targets(0)),
            "max_targets is 0: expected 1 to 1000000",
        ),
    ];
    for (error, message) in refusals {
        assert_eq!(error.to_string(), message);
        assert_eq!(error.field(), message.split_whitespace().next().unwrap());
    }
}

#[test]
fn the_edges_are_accepted() {
    Policy::builder()
        .max_attempts(1)
        .max_elapsed(None)
        .min_attempt_time(Duration::MAX)
        .max_retry_after(Duration::ZERO)
        .plan(Plan::empty())
        .build()
        .unwrap();
    Policy::builder()
        .max_attempts(1_000)
        .max_elapsed(Duration::MAX)
        .max_retry_after(Duration::MAX)
        .build()
        .unwrap();
    let budget = Budget::builder().percent(0).floor_per_second(0.0).burst(1);
    budget.max_targets(1).build().unwrap();
    let budget = Budget::builder().percent(1_000).floor_per_second(0.001);
    budget
        .burst(100_000)
        .max_targets(1_000_000)
        .build()
        .unwrap();
}
