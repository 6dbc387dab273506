//! A setting that makes no sense is an error when the layer is built, and names itself.

use std::time::Duration;

use tower_bedrock_breaker::{
    CircuitBreakerBuilder, CircuitBreakerLayer, InvalidConfig, SlidingWindow,
};

fn error(set: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> InvalidConfig {
    set(CircuitBreakerLayer::builder())
        .build()
        .expect_err("out of range")
}

#[test]
fn zero_and_huge_values_are_errors_that_name_the_setting() {
    const ZERO: Duration = Duration::ZERO;
    const HUGE: Duration = Duration::MAX;
    let cases = [
        (error(|b| b.consecutive_failures(0)), "consecutive_failures"),
        (
            error(|b| b.failure_rate_threshold(0.0)),
            "failure_rate_threshold",
        ),
        (
            error(|b| b.failure_rate_threshold(-1.0)),
            "failure_rate_threshold",
        ),
        (
            error(|b| b.failure_rate_threshold(100.1)),
            "failure_rate_threshold",
        ),
        (
            error(|b| b.failure_rate_threshold(f64::NAN)),
            "failure_rate_threshold",
        ),
        (
            error(|b| b.failure_rate_threshold(f64::INFINITY)),
            "failure_rate_threshold",
        ),
        (
            error(|b| b.slow_call_rate_threshold(0.0)),
            "slow_call_rate_threshold",
        ),
        (
            error(|b| b.slow_call_duration_threshold(ZERO)),
            "slow_call_duration_threshold",
        ),
        (
            error(|b| b.slow_call_duration_threshold(HUGE)),
            "slow_call_duration_threshold",
        ),
        (error(|b| b.sliding_window_size(0)), "sliding_window_size"),
        (
            error(|b| b.sliding_window_size(u32::MAX)),
            "sliding_window_size",
        ),
        (
            error(|b| b.sliding_window(SlidingWindow::TimeBased(ZERO))),
            "sliding_window",
        ),
        (
            error(|b| b.sliding_window(SlidingWindow::TimeBased(HUGE))),
            "sliding_window",
        ),
        (
            error(|b| b.minimum_number_of_calls(0)),
            "minimum_number_of_calls",
        ),
        (
            error(|b| b.minimum_number_of_calls(101)),
            "minimum_number_of_calls",
        ),
        (
            error(|b| b.wait_duration_in_open_state(ZERO)),
            "wait_duration_in_open_state",
        ),
        (
            error(|b| b.wait_duration_in_open_state(HUGE)),
            "wait_duration_in_open_state",
        ),
        (
            error(|b| b.exponential_backoff_multiplier(0.9)),
            "exponential_backoff_multiplier",
        ),
        (
            error(|b| b.exponential_backoff_multiplier(f64::NAN)),
            "exponential_backoff_multiplier",
        ),
        (
            error(|b| b.exponential_backoff_multiplier(f64::MAX)),
            "exponential_backoff_multiplier",
        ),
        (
            error(|b| b.exponential_max_wait_duration_in_open_state(Duration::from_secs(59))),
            "exponential_max_wait_duration_in_open_state",
        ),
        (
            error(|b| b.exponential_max_wait_duration_in_open_state(HUGE)),
            "exponential_max_wait_duration_in_open_state",
        ),
        (
            error(|b| b.randomized_wait_factor(1.0)),
            "randomized_wait_factor",
        ),
        (
            error(|b| b.randomized_wait_factor(-0.1)),
            "randomized_wait_factor",
        ),
        (
            error(|b| b.randomized_wait_factor(f64::NAN)),
            "randomized_wait_factor",
        ),
        (
            error(|b| b.permitted_number_of_calls_in_half_open_state(0)),
            "permitted_number_of_calls_in_half_open_state",
        ),
        (
            error(|b| b.permitted_number_of_calls_in_half_open_state(u32::MAX)),
            "permitted_number_of_calls_in_half_open_state",
        ),
        (
            error(|b| b.half_open_success_threshold(0)),
            "half_open_success_threshold",
        ),
        (
            error(|b| b.half_open_success_threshold(11)),
            "half_open_success_threshold",
        ),
        (
            error(|b| b.half_open_success_threshold(u32::MAX)),
            "half_open_success_threshold",
        ),
        (
            error(|b| b.half_open_failure_threshold(0)),
            "half_open_failure_threshold",
        ),
        (
            error(|b| b.half_open_failure_threshold(11)),
            "half_open_failure_threshold",
        ),
        (
            error(|b| b.half_open_failure_threshold(u32::MAX)),
            "half_open_failure_threshold",
        ),
        (
            // Ten probes could all report, six of them well, and decide nothing.
            error(|b| {
                b.half_open_success_threshold(7)
                    .half_open_failure_threshold(5)
            }),
            "half_open_success_threshold",
        ),
        (
            error(|b| b.max_wait_duration_in_half_open_state(ZERO)),
            "max_wait_duration_in_half_open_state",
        ),
        (
            error(|b| b.max_wait_duration_in_half_open_state(HUGE)),
            "max_wait_duration_in_half_open_state",
        ),
        (error(|b| b.max_keys(0)), "max_keys"),
        (error(|b| b.max_keys(usize::MAX)), "max_keys"),
    ];
    for (error, field) in cases {
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

#[test]
fn the_message_says_what_was_set_and_what_is_accepted() {
    let text = error(|b| b.exponential_max_wait_duration_in_open_state(Duration::from_secs(5)));
    assert_eq!(
        text.to_string(),
        "circuit breaker: exponential_max_wait_duration_in_open_state is 5s: \
         expected 60s (wait_duration_in_open_state) to 365 days"
    );
}

#[test]
fn the_ends_of_every_range_are_accepted() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let shortest = Duration::from_millis(1);
    CircuitBreakerLayer::builder()
        .consecutive_failures(u32::MAX)
        .failure_rate_threshold(100.0)
        .slow_call_rate_threshold(f64::MIN_POSITIVE)
        .slow_call_duration_threshold(year)
        .sliding_window_size(65_536)
        .minimum_number_of_calls(65_536)
        .wait_duration_in_open_state(year)
        .exponential_backoff_multiplier(1_000.0)
        .exponential_max_wait_duration_in_open_state(year)
        .permitted_number_of_calls_in_half_open_state(65_536)
        .max_wait_duration_in_half_open_state(year)
        .max_keys(1 << 20)
        .build()
        .unwrap();
    CircuitBreakerLayer::builder()
        .sliding_window(SlidingWindow::TimeBased(shortest))
        .minimum_number_of_calls(u32::MAX)
        .wait_duration_in_open_state(shortest)
        .permitted_number_of_calls_in_half_open_state(1)
        .max_wait_duration_in_half_open_state(shortest)
        .max_keys(32)
        .build()
        .unwrap();
    CircuitBreakerLayer::builder()
        .without_consecutive_failures()
        .without_failure_rate()
        .sliding_window_size(1)
        .build()
        .unwrap();
}
