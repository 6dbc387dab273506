//! Who leaves `max_tokens` unset is told, once for each model.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tower_bedrock_core::{Context, Demand, Target};
use tower_bedrock_quota::Limiter;
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_unset_max_tokens_is_warned_of_once_for_each_model() {
    let warnings = Warnings::default();
    let _subscribed = tracing::subscriber::set_default(warnings.clone());
    let limiter = Limiter::builder().build().unwrap();
    let mut seen = Vec::new();
    for (model, max) in [
        ("acme.one", Some(100)),
        ("acme.one", None),
        ("acme.one", None),
        ("us.acme.one", None),
        ("acme.two", None),
        ("acme.two", None),
    ] {
        let target = Target::parse("us-east-1", model).unwrap();
        let demand = Demand::new(10);
        let demand = max.map_or(demand, |max| demand.with_max_output_tokens(max));
        let context = Context::new();
        drop(limiter.reserve(&target, &demand, &context).await.unwrap());
        seen.push(warnings.0.load(Relaxed));
    }
    // A profile is another way to the same model.
    assert_eq!(seen, [0, 1, 1, 1, 2, 2]);
}
