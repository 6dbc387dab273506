//! The traits and the types that answer them.

#![allow(clippy::unwrap_used)]

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::{Service, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Burndown, Completion, Content, Context, Demand, Fault, FaultKind, GaveUp,
    Geography, HasCompletion, HasDemand, HasFault, HasTarget, Invocation, Observers, Outcome,
    Priority, Region, Rejection, ServiceTier, Target, TokenUsage,
};

fn target() -> Target {
    Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap()
}

fn seen() -> (
    Arc<Mutex<Vec<Completion>>>,
    impl FnOnce(&Completion) + Send + 'static,
) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let seen = Arc::clone(&seen);
        move |completion: &Completion| seen.lock().unwrap().push(*completion)
    };
    (seen, observer)
}

// === faults ===

#[tokio::test]
async fn a_tower_test_mock_needs_no_wrapping() {
    let (mut service, mut handle) = tower_test::mock::pair::<Invocation<&str>, Answer<&str>>();
    let call = service
        .ready()
        .await
        .unwrap()
        .call(Invocation::new(target(), "hello"));
    let answer = async {
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request.target(), &target());
        respond.send_error(Fault::new(FaultKind::ThrottledTokens));
    };
    let (result, ()) = tokio::join!(call, answer);
    assert_eq!(
        result.unwrap_err().fault().kind(),
        FaultKind::ThrottledTokens
    );
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer<E: Error + 'static>(#[source] E);

#[test]
fn a_fault_is_seen_through_boxes_and_sources() {
    let fault = Fault::new(FaultKind::Overloaded).with_retry_after(Duration::from_secs(7));
    let nested: BoxError = Box::new(Outer(Outer(fault)));
    assert_eq!(nested.fault(), fault);

    let io: BoxError = Box::new(Outer(std::io::Error::from(
        std::io::ErrorKind::ConnectionReset,
    )));
    assert_eq!(io.fault().kind(), FaultKind::Transport);

    let unknown: BoxError = "what is this?".into();
    assert_eq!(unknown.fault().kind(), FaultKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn an_elapsed_timeout_is_a_fault() {
    let elapsed = tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>())
        .await
        .unwrap_err();
    assert_eq!(BoxError::from(elapsed).fault().kind(), FaultKind::Timeout);
}

#[test]
fn an_error_that_names_itself_as_its_source_ends() {
    #[derive(Debug, thiserror::Error)]
    #[error("ouroboros")]
    struct Ouroboros;
    struct Itself;
    impl std::fmt::Debug for Itself {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Itself")
        }
    }
    impl std::fmt::Display for Itself {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("itself")
        }
    }
    impl Error for Itself {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    assert_eq!(Fault::find(&Itself), None);
    assert_eq!(Fault::find(&Ouroboros), None);
}

#[test]
fn a_boxed_error_keeps_its_history_its_text_and_its_fault() {
    let error: BoxError = Fault::new(FaultKind::Unavailable).into();
    assert!(error.history().is_none());
    let text = error.to_string();

    let error = error.update_history(|history| history.attempts = 5);
    let error = error.update_history(|history| history.gave_up = Some(GaveUp::MaxAttempts));

    let history = error.history().unwrap();
    assert_eq!(
        (history.attempts, history.gave_up),
        (5, Some(GaveUp::MaxAttempts))
    );
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
    assert_eq!(error.to_string(), text);
    // Wrapped once, however often it was updated.
    assert!(error.source().unwrap().is::<Fault>());
}

#[test]
fn a_history_is_seen_through_what_wraps_the_error() {
    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapped(#[source] BoxError);

    let error: BoxError = Fault::new(FaultKind::Unavailable).into();
    let error: BoxError = Wrapped(error.update_history(|history| history.attempts = 5)).into();
    assert_eq!(error.history().unwrap().attempts, 5);

    // What is added next is added to it.
    let error = error.update_history(|history| history.gave_up = Some(GaveUp::MaxAttempts));
    assert_eq!(error.history().unwrap().attempts, 5);
}

#[test]
fn a_leafs_own_error_takes_every_rejection() {
    #[derive(Debug, thiserror::Error)]
    #[error("open")]
    struct Open(#[source] Fault);
    impl Rejection for Open {}

    struct LeafError(Fault);
    impl<R: Rejection> From<R> for LeafError {
        fn from(rejection: R) -> Self {
            Self(Fault::find(&rejection).unwrap())
        }
    }
    assert_eq!(
        LeafError::from(Open(FaultKind::CircuitOpen.into()))
            .0
            .kind(),
        FaultKind::CircuitOpen
    );
}

#[test]
fn the_groups_of_kinds_do_not_overlap() {
    for kind in FaultKind::ALL {
        let groups = [
            kind.is_throttle(),
            kind.is_callers_mistake(),
            kind.is_local(),
        ];
        assert!(
            groups.into_iter().filter(|member| *member).count() <= 1,
            "{kind}"
        );
    }
}

// === completions ===

#[test]
fn a_unary_answer_tells_its_cost_at_once() {
    let usage = TokenUsage {
        input: 2_005,
        output: 200,
        ..TokenUsage::default()
    };
    let mut answer = Answer::new(()).with_usage(usage);
    let (seen, observer) = seen();
    answer.on_completion(observer);
    assert_eq!(*seen.lock().unwrap(), [Completion::complete(Some(usage))]);
}

#[test]
fn observers_are_told_once_however_a_stream_ends() {
    let usage = TokenUsage {
        input: 6,
        output: 12,
        ..TokenUsage::default()
    };
    let fault = Fault::new(FaultKind::ModelStreamError);
    for outcome in [Outcome::Complete, Outcome::Failed(fault)] {
        let mut observers = Observers::default();
        let (early, observer) = seen();
        observers.add(observer);
        observers.first_token(Duration::from_millis(300));
        observers.first_token(Duration::from_millis(900));
        observers.usage(usage);
        observers.finish(outcome);
        observers.finish(Outcome::Dropped);
        let (late, observer) = seen();
        observers.add(observer);
        drop(observers);

        for seen in [early, late] {
            let seen = seen.lock().unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!((seen[0].outcome, seen[0].usage), (outcome, Some(usage)));
            assert_eq!(
                seen[0].time_to_first_token,
                Some(Duration::from_millis(300))
            );
        }
    }
}

#[test]
fn a_dropped_stream_tells_what_it_knew() {
    let mut observers = Observers::default();
    let (seen, observer) = seen();
    observers.add(observer);
    observers.first_token(Duration::from_secs(1));
    drop(observers);
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen.len(), seen[0].outcome, seen[0].usage),
        (1, Outcome::Dropped, None)
    );
    assert_eq!(seen[0].time_to_first_token, Some(Duration::from_secs(1)));
}

// === requests ===

#[test]
fn the_envelope_answers_and_can_be_changed() {
    let mut call = Invocation::new(target(), "hello")
        .with_demand(Demand::new(2).with_max_output_tokens(10))
        .with_context(
            Context::new()
                .with_tenant("a")
                .with_priority(Priority::Batch),
        );
    let elsewhere = target().with_service_tier(ServiceTier::Flex);
    call.set_target(elsewhere.clone());
    assert!(call.set_max_output_tokens(5));
    assert_eq!(call.target(), &elsewhere);
    assert_eq!(call.demand().max_output_tokens(), Some(5));
    assert_eq!(call.demand().input_tokens(), 2);
    assert_eq!(
        elsewhere.to_string(),
        "us-east-1/us.amazon.nova-lite-v1:0@flex"
    );
}

#[test]
fn debug_shows_sizes_and_no_text() {
    let call = Invocation::new(target(), "CANARY").with_demand(Demand::new(1_234));
    let shown = format!("{call:?} {:?}", Answer::new("CANARY"));
    assert!(
        shown.contains("1234") && !shown.contains("CANARY"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_only_ever_brought_forward() {
    let now = tokio::time::Instant::now();
    let mut context = Context::new();
    assert_eq!(context.time_left(now), None);
    for (limit, expected) in [(60, 60), (30, 30), (90, 30)] {
        context.limit_deadline(now + Duration::from_secs(limit));
        assert_eq!(context.time_left(now), Some(Duration::from_secs(expected)));
    }
    assert_eq!(
        context.time_left(now + Duration::from_secs(99)),
        Some(Duration::ZERO)
    );
}

#[test]
fn content_is_measured_by_class_and_never_overflows() {
    let mut content = Content::default();
    content.add_text("abc日本語");
    assert_eq!((content.ascii_bytes, content.non_ascii_bytes), (3, 9));
    assert_eq!(Demand::from(content).input_tokens(), 1 + 3);

    let huge = Content {
        ascii_bytes: u64::MAX,
        images: u64::MAX,
        tool_bytes: u64::MAX,
        ..content
    };
    assert_eq!(huge.estimated_tokens(), u64::MAX);
    assert_eq!(huge.total_bytes(), u64::MAX);
    let usage = TokenUsage {
        input: u64::MAX,
        output: 1,
        cache_read: 1,
        cache_write: 1,
    };
    assert_eq!(usage.total(), u64::MAX);
}

#[test]
fn a_region_is_a_name_and_nothing_else() {
    for good in ["us-east-1", "us-gov-west-1", "ap-southeast-4"] {
        assert_eq!(good.parse::<Region>().unwrap().to_string(), good);
    }
    for bad in [
        "",
        "US-EAST-1",
        "us east 1",
        "us-east-1.evil.example",
        "us-east-1/..",
        &"a".repeat(21),
    ] {
        let error = bad.parse::<Region>().unwrap_err().to_string();
        assert!(error.contains("a-z, 0-9 and '-'"), "{error}");
    }
}

#[test]
fn a_region_lies_in_the_geography_that_may_serve_it() {
    let of = |name: &str| Geography::of(&name.parse().unwrap());
    assert_eq!(of("us-west-2"), Some(Geography::Us));
    assert_eq!(of("us-gov-west-1"), Some(Geography::UsGov));
    assert_eq!(of("eu-central-1"), Some(Geography::Eu));
    assert_eq!(of("eu-west-2"), None);
    assert_eq!(of("us-iso-east-1"), None);
    assert_eq!(of("us-isob-east-1"), None);
    assert_eq!(of("eu-isoe-west-1"), None);
    assert_eq!(of("ap-northeast-1"), Some(Geography::Jp));
    assert_eq!(of("ap-south-1"), Some(Geography::Apac));
    assert!(Geography::Apac.contains(Geography::Au));
    assert!(!Geography::Us.contains(Geography::UsGov));
    assert!(!Geography::Jp.contains(Geography::Apac));
}

// === burndown ===

#[test]
fn published_burndown_rates() {
    let burndown = Burndown::default();
    let cases = [
        ("anthropic.claude-opus-4-8-20260501-v1:0", 15),
        ("anthropic.claude-sonnet-4-8", 15),
        ("anthropic.claude-opus-5-5", 10),
        ("anthropic.claude-opus-5", 10),
        ("anthropic.claude-sonnet-5-20260801-v1:0", 10),
        ("anthropic.claude-fable-5-1", 10),
        ("openai.gpt-5.6-sol", 10),
        ("openai.gpt-5-6-terra-v1:0", 10),
        ("openai.gpt-5.6-luna", 10),
        ("anthropic.claude-opus-4-7", 5),
        ("anthropic.claude-sonnet-4-20250514-v1:0", 5),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 5),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
        ("anthropic.claude-3-haiku-20240307-v1:0", 5),
        ("anthropic.claude-v2:1", 5),
        ("anthropic.claude-instant-v1", 5),
        ("openai.gpt-oss-120b-1:0", 1),
        ("amazon.nova-pro-v1:0", 1),
        ("", 1),
    ];
    for (base, rate) in cases {
        assert_eq!(burndown.rate(base), rate, "{base}");
    }
}

#[test]
fn a_users_rate_goes_before_the_published_one() {
    let burndown = Burndown::default()
        .with_rate("anthropic.*", 7)
        .unwrap()
        .with_rate("anthropic.claude-v2*", 2)
        .unwrap();
    assert_eq!(burndown.rate("anthropic.claude-opus-4-8"), 7);
    assert_eq!(burndown.rate("anthropic.claude-v2:1"), 2);
    for rate in [0, Burndown::MAX_RATE + 1] {
        let error = Burndown::default()
            .with_rate("acme.*", rate)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("acme.*") && error.contains("1 to 1000"),
            "{error}"
        );
    }
}
