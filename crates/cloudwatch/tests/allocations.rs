//! Recording allocates nothing, nor does a successful call through the layer.

#![cfg(feature = "recorder")]
#![allow(clippy::unwrap_used)]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use metrics::{Key, Label, Metadata, Recorder, with_local_recorder};
use tower::{Layer, Service, service_fn};
use tower_bedrock_cloudwatch::{MetricsLayer, recorder::CloudWatchRecorder};
use tower_bedrock_core::{Answer, BoxError, Invocation, Target, TokenUsage};

#[test]
fn recording_allocates_nothing() {
    static METADATA: Metadata<'static> = Metadata::new("test", metrics::Level::INFO, None);
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    let key = Key::from_parts("Calls", vec![Label::new("ModelId", "m")]);
    let counter = recorder.register_counter(&key, &METADATA);
    let gauge = recorder.register_gauge(&key, &METADATA);
    let histogram = recorder.register_histogram(&key, &METADATA);
    let allocated = measure(|| {
        counter.increment(1);
        gauge.set(1.0);
        gauge.increment(1.0);
        histogram.record(812.5);
        drop(recorder.register_counter(&key, &METADATA));
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_successful_call_through_both_layers_allocates_nothing() {
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        let usage = TokenUsage {
            input: 3,
            output: 2,
            ..TokenUsage::default()
        };
        let leaf = service_fn(move |_: Invocation<()>| async move {
            Ok::<_, BoxError>(Answer::new(()).with_usage(usage))
        });
        let layers = (MetricsLayer::requests(), MetricsLayer::attempts());
        let mut service = layers.layer(leaf);
        let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
        let request = Invocation::new(target, ());
        let mut call = || {
            let mut cx = Context::from_waker(Waker::noop());
            let mut response = pin!(service.call(request.clone()));
            assert!(matches!(
                response.as_mut().poll(&mut cx),
                Poll::Ready(Ok(_))
            ));
        };
        // The first one registers the target's handles.
        call();
        assert_eq!(measure(&mut call).count_total, 0);
    });
}
