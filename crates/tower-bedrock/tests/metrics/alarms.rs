//! Alarms have something to watch.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use metrics::set_default_local_recorder;
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock::{
    Answer, BoxError, Degraded, Fault, FaultKind, HasCompletion, HasTarget, Invocation,
    StandardStack,
    cloudwatch::{
        operations::{Operations, Query},
        recorder::{Batch, CloudWatchRecorder, Sink, SinkError},
    },
    fallback::{Alternative, Chain, FallbackLayer},
    metrics::QuotaMetrics,
    quota::{LimitTable, Limiter, Limits, Observe, QuotaKey, QuotaLayer, QuotaPattern},
};

use crate::support::{CLAUDE, target};

/// The standard stack in trouble of every kind sends all that alarms look for, under the very names and dimensions.
#[tokio::test(start_paused = true)]
async fn every_series_that_an_alarm_watches_is_sent() {
    let recorder = CloudWatchRecorder::builder()
        .dimension("Service", "chat")
        .build()
        .unwrap();
    let _guard = set_default_local_recorder(&recorder);
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_tokens_per_minute(10_000_000),
    );
    let metrics = QuotaMetrics::new().with_targets(&[target()]);
    let limiter = Limiter::builder()
        .limits(limits)
        .observe(metrics.clone())
        .build()
        .unwrap();
    let chain = Chain::new(CLAUDE.parse().unwrap()).or(Alternative::model(
        "us.amazon.nova-pro-v1:0".parse().unwrap(),
    ));
    let stack = StandardStack::new()
        .unwrap()
        .with_targets([target()])
        .with_quota(QuotaLayer::new(limiter.clone()))
        .without_retry();
    let helped = stack
        .clone()
        .with_fallback(FallbackLayer::new([chain]).unwrap());
    let call = |trouble: Option<FaultKind>| Invocation::new(target(), trouble);
    let leaf = service_fn(|call: Invocation<Option<FaultKind>>| async move {
        match *call.input() {
            Some(kind) if *HasTarget::target(&call) == target() => Err(Fault::new(kind).into()),
            _ => Ok::<_, BoxError>(Answer::new(())),
        }
    });
    for mistake in FaultKind::ALL {
        if mistake.is_callers_mistake() {
            let alone = stack.layer(leaf);
            alone.oneshot(call(Some(mistake))).await.unwrap_err();
        }
    }
    let stale = service_fn(|_: Invocation<Option<FaultKind>>| async {
        let mut answer = Answer::new(());
        answer.history_mut().unwrap().degraded = Some(Degraded::default());
        Ok::<_, BoxError>(answer)
    });
    stack.layer(stale).oneshot(call(None)).await.unwrap();
    let troubles = [
        FaultKind::ThrottledTokens,
        FaultKind::TooManyConnections,
        FaultKind::Unavailable,
    ];
    // The last of them until the breaker opens.
    for trouble in troubles.into_iter().chain([FaultKind::Unavailable; 20]) {
        let helped = helped.layer(leaf);
        helped.oneshot(call(Some(trouble))).await.unwrap();
    }
    metrics.store_lost(&QuotaKey::of(&target()));
    metrics.look(&limiter);

    let sent = Sent::default();
    recorder.worker(sent.clone()).flush().await.unwrap();
    let sent = sent.0.lock().unwrap();
    let operations = Operations::builder("chat")
        .dimension("Service", "chat")
        .target(target())
        .build()
        .unwrap();
    for alarm in operations.alarms() {
        for query in alarm.queries() {
            if let Query::Metric(watched) = query {
                let dimensions = watched.dimensions.iter();
                let dimensions: Vec<_> =
                    dimensions.map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let series = series(watched.name, dimensions);
                assert!(
                    sent.contains(&series),
                    "{:?} watches {series}, but sent was {sent:#?}",
                    alarm.kind()
                );
            }
        }
    }
}

/// A CloudWatch that remembers the names and dimensions of what it was sent.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<Mutex<BTreeSet<String>>>);

impl Sink for Sent {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let data = batch.data().iter();
        let data = data.map(|datum| series(datum.name(), datum.dimensions()));
        self.0.lock().unwrap().extend(data);
        Ok(())
    }
}

fn series<'a>(name: &str, dimensions: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let dimensions: Vec<_> = dimensions
        .into_iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    format!("{name}{{{}}}", dimensions.join(","))
}
