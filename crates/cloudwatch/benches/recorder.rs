//! What recording costs, beside `metrics_cloudwatch`, and how much of a burst each of them sends.
//!
//! `cargo bench -p tower-bedrock-cloudwatch --features aws`

#![allow(clippy::unwrap_used)]

use std::{
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_cloudwatch::{
    error::SdkError, operation::put_metric_data::PutMetricDataError, types::MetricDatum,
};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{FutureExt, future::BoxFuture};
use metrics::{Histogram, Key, Metadata, Recorder};
use metrics_cloudwatch::{Resolution, collector};
use tokio::{runtime::Runtime, sync::oneshot, task::yield_now, time::Instant};
use tower_bedrock_cloudwatch::recorder::{Batch, CloudWatchRecorder, Sink, SinkError};

static METADATA: Metadata<'static> = Metadata::new("bench", metrics::Level::INFO, None);

/// Adds up what arrives.
#[derive(Clone, Default)]
struct Sum(Arc<AtomicU64>);

impl Sum {
    fn add(&self, samples: f64) {
        self.0.fetch_add(samples as u64, Relaxed);
    }
}

impl Sink for Sum {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let values = batch.data().iter().flat_map(|datum| datum.values());
        values.for_each(|(_, count)| self.add(*count as f64));
        Ok(())
    }
}

impl collector::CloudWatch for Sum {
    fn put_metric_data(
        &self,
        _: &collector::Config,
        data: Vec<MetricDatum>,
    ) -> BoxFuture<'_, Result<(), SdkError<PutMetricDataError>>> {
        data.iter()
            .flat_map(MetricDatum::counts)
            .for_each(|count| self.add(*count));
        async { Ok(()) }.boxed()
    }
}

fn theirs(
    sum: Sum,
    stop: oneshot::Receiver<()>,
) -> (collector::RecorderHandle, impl Future<Output = ()>) {
    let config = collector::Config {
        cloudwatch_namespace: "Bench".to_owned(),
        default_dimensions: Default::default(),
        storage_resolution: Resolution::Minute,
        send_interval_secs: 60,
        send_timeout_secs: 10,
        shutdown_signal: stop.map(drop).boxed().shared(),
        metric_buffer_size: 1_024,
    };
    collector::new(sum, config, None)
}

fn key() -> Key {
    let labels = vec![
        metrics::Label::new("ModelId", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        metrics::Label::new("Region", "us-east-1"),
    ];
    Key::from_parts("InvocationLatency", labels)
}

fn record(c: &mut Criterion) {
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    let key = key();
    let counter = recorder.register_counter(&key, &METADATA);
    let histogram = recorder.register_histogram(&key, &METADATA);
    measure(c, "ours: counter", || counter.increment(1));
    measure(c, "ours: histogram", || histogram.record(black_box(812.5)));
    measure(c, "ours: a handle looked up", || {
        let _ = black_box(recorder.register_counter(&key, &METADATA));
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // It makes a timer before it is polled.
    let _entered = runtime.enter();
    let (_stop, stopped) = oneshot::channel();
    let (recorder, task) = theirs(Sum::default(), stopped);
    let local = tokio::task::LocalSet::new();
    local.spawn_local(task);
    let counter = recorder.register_counter(&key);
    let histogram = recorder.register_histogram(&key);
    measure_in(c, &runtime, &local, "metrics_cloudwatch: counter", || {
        counter.increment(1)
    });
    measure_in(c, &runtime, &local, "metrics_cloudwatch: histogram", || {
        histogram.record(black_box(812.5));
    });
}

fn measure(c: &mut Criterion, name: &str, mut call: impl FnMut()) {
    call();
    let allocations = allocation_counter::measure(&mut call).count_total;
    c.bench_function(&format!("{name} ({allocations} allocations)"), |b| {
        b.iter(&mut call)
    });
}

/// Its channel holds 1,024 samples, and what does not fit is dropped: its task gets its turn every hundred,
/// which is not counted.
fn measure_in(
    c: &mut Criterion,
    runtime: &Runtime,
    local: &tokio::task::LocalSet,
    name: &str,
    mut call: impl FnMut(),
) {
    local.block_on(runtime, yield_now());
    let allocations = allocation_counter::measure(&mut call).count_total;
    c.bench_function(&format!("{name} ({allocations} allocations)"), |b| {
        b.iter_custom(|times| {
            local.block_on(runtime, async {
                let mut taken = Duration::ZERO;
                let mut left = times;
                while left > 0 {
                    let now = left.min(100);
                    let start = Instant::now();
                    (0..now).for_each(|_| call());
                    taken += start.elapsed();
                    left -= now;
                    yield_now().await;
                }
                taken
            })
        });
    });
}

/// 100,000 samples recorded without a pause: how many are sent?
fn burst(_: &mut Criterion) {
    const SAMPLES: u64 = 100_000;
    let burst = |histogram: &Histogram| {
        for sample in 0..SAMPLES {
            histogram.record((sample % 1_000) as f64);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let recorder = CloudWatchRecorder::builder().build().unwrap();
        let sum = Sum::default();
        burst(&recorder.register_histogram(&key(), &METADATA));
        recorder.worker(sum.clone()).flush().await.unwrap();
        println!(
            "burst: ours sends {} of {SAMPLES} samples",
            sum.0.load(Relaxed)
        );

        let sum = Sum::default();
        let (stop, stopped) = oneshot::channel();
        let (recorder, task) = theirs(sum.clone(), stopped);
        burst(&recorder.register_histogram(&key()));
        let mut task = pin!(task);
        // What is in the channel is taken in before it is told to stop.
        let _ = tokio::time::timeout(Duration::from_millis(200), &mut task).await;
        drop(stop);
        let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
        println!(
            "burst: metrics_cloudwatch sends {} of {SAMPLES} samples",
            sum.0.load(Relaxed)
        );
    });
}

criterion_group!(benches, record, burst);
criterion_main!(benches);
