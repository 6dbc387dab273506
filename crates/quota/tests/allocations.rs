//! A call that does not wait allocates nothing.

#![allow(clippy::unwrap_used)]

use std::{
    pin::pin,
    task::{Context as TaskContext, Poll, Waker},
};

use tower::{Layer, Service, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Content, Context, Demand, Invocation, Target, TokenUsage,
};
use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern, Window};

#[test]
fn a_call_that_does_not_wait_allocates_nothing() {
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        let limits = Limits::new()
            .with_requests_per_minute(1_000_000)
            .with_tokens_per_minute(1_000_000_000)
            .with_window(window);
        let table = LimitTable::new()
            .with(QuotaPattern::any(), limits)
            .with_tokens_per_day("*", 1_000_000_000_000);
        let limiter = Limiter::new(table).unwrap();
        let usage = TokenUsage {
            input: 1_000,
            output: 500,
            ..TokenUsage::default()
        };
        let inner = service_fn(move |_: Invocation<()>| async move {
            Ok::<_, BoxError>(Answer::new(()).with_usage(usage))
        });
        let mut service = QuotaLayer::new(limiter).layer(inner);
        let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap();
        let content = Content {
            ascii_bytes: 4_000,
            ..Content::default()
        };
        let demand = Demand::from(content).with_max_output_tokens(100);
        let context = Context::new().with_tenant("team-a");
        let request = Invocation::new(target, ())
            .with_demand(demand)
            .with_context(context);
        let mut call = || {
            let mut cx = TaskContext::from_waker(Waker::noop());
            let mut response = pin!(service.call(request.clone()));
            assert!(matches!(
                response.as_mut().poll(&mut cx),
                Poll::Ready(Ok(_))
            ));
        };
        // The first one makes the key.
        call();
        let allocated = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                call();
            }
        });
        assert_eq!(allocated.count_total, 0, "{window:?}");
    }
}
