//! What measuring a call costs, and what recording costs beside other recorders' record paths, and how much of a burst
//! is sent: `cargo bench -p tower-bedrock-cloudwatch --features aws`.

#![allow(clippy::unwrap_used)]

use std::{
    env,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    error::SdkError, operation::put_metric_data::PutMetricDataError, types::MetricDatum,
};
use bench_support::{Bench, COUNT_CASE, call};
use futures_util::{FutureExt, future::BoxFuture};
use metrics::{Histogram, Key, Metadata, NoopRecorder, Recorder};
use metrics_cloudwatch::{Resolution, collector};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{runtime::Runtime, sync::oneshot, task::yield_now};
use tower::{Layer, Service, layer::util::Identity};
use tower_bedrock_cloudwatch::{
    MetricsLayer, TraceLayer,
    recorder::{Batch, CloudWatchRecorder, Sink, SinkError},
};
use tower_bedrock_core::{Answer, BoxError, Invocation, Target, TokenUsage};

type Request = Invocation<&'static str>;
type Response = Result<Answer<&'static str>, BoxError>;

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

static METADATA: Metadata<'static> = Metadata::new("bench", metrics::Level::INFO, None);

/// Answers at once.
#[derive(Clone)]
struct Leaf;

impl Service<Request> for Leaf {
    type Response = Answer<&'static str>;
    type Error = BoxError;
    type Future = Ready<Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        let usage = TokenUsage {
            input: 10,
            output: 20,
            ..TokenUsage::default()
        };
        ready(Ok(Answer::new("hello").with_usage(usage)))
    }
}

/// A call through a layer. Its handles are registered with `recorder` when it is first called.
fn layer<L>(bench: &mut Bench, name: &str, recorder: &impl Recorder, make: impl FnOnce() -> L)
where
    L: Layer<Leaf>,
    L::Service: Service<Request>,
{
    bench.case(&format!("a call/{name}"), || {
        let target = Target::parse("us-east-1", MODEL).unwrap();
        let request = Invocation::new(target, "hello");
        let mut service = metrics::with_local_recorder(recorder, || {
            let mut service = make().layer(Leaf);
            call(&mut service, &request);
            service
        });
        move || call(&mut service, &request)
    });
}

fn layers(bench: &mut Bench) {
    let cloudwatch = CloudWatchRecorder::builder().build().unwrap();
    let prometheus = PrometheusBuilder::new().build_recorder();
    layer(bench, "no layer", &NoopRecorder, Identity::new);
    let name = "attempts measured, no recorder";
    layer(bench, name, &NoopRecorder, MetricsLayer::attempts);
    let name = "attempts measured, for CloudWatch";
    layer(bench, name, &cloudwatch, MetricsLayer::attempts);
    let name = "attempts measured, for Prometheus";
    layer(bench, name, &prometheus, MetricsLayer::attempts);
    let name = "requests measured, for CloudWatch";
    layer(bench, name, &cloudwatch, MetricsLayer::requests);
    let name = "attempts traced, nobody listens";
    layer(bench, name, &NoopRecorder, TraceLayer::attempts);
}

fn key() -> Key {
    let labels = vec![
        metrics::Label::new("ModelId", MODEL),
        metrics::Label::new("Region", "us-east-1"),
    ];
    Key::from_parts("InvocationLatency", labels)
}

/// What a counter and a histogram of a recorder cost.
fn record(bench: &mut Bench, name: &str, recorder: &impl Recorder) {
    let key = key();
    bench.case(&format!("recording/{name}, counter"), || {
        let counter = recorder.register_counter(&key, &METADATA);
        move || counter.increment(1)
    });
    bench.case(&format!("recording/{name}, histogram"), || {
        let histogram = recorder.register_histogram(&key, &METADATA);
        move || histogram.record(black_box(812.5))
    });
    bench.case(&format!("recording/{name}, a handle looked up"), || {
        || drop(black_box(recorder.register_counter(&key, &METADATA)))
    });
}

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

/// `metrics_cloudwatch`, and its task.
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

/// Its channel holds 1,024 samples, and what does not fit is dropped: its task gets its turn every hundred.
fn record_theirs(bench: &mut Bench, runtime: &Runtime) {
    // It makes a timer before it is polled.
    let _entered = runtime.enter();
    let (_stop, stopped) = oneshot::channel();
    let (recorder, task) = theirs(Sum::default(), stopped);
    let local = Rc::new(tokio::task::LocalSet::new());
    local.spawn_local(task);
    let clear = || {
        let local = Rc::clone(&local);
        move || local.block_on(runtime, yield_now())
    };
    bench.case_cleared("recording/metrics_cloudwatch, counter", || {
        let counter = recorder.register_counter(&key());
        (move || counter.increment(1), clear())
    });
    bench.case_cleared("recording/metrics_cloudwatch, histogram", || {
        let histogram = recorder.register_histogram(&key());
        (move || histogram.record(black_box(812.5)), clear())
    });
}

/// 100,000 samples recorded without a pause: how many are sent?
async fn burst() {
    const SAMPLES: u64 = 100_000;
    let burst = |histogram: &Histogram| {
        for sample in 0..SAMPLES {
            histogram.record((sample % 1_000) as f64);
        }
    };
    let sum = Sum::default();
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    burst(&recorder.register_histogram(&key(), &METADATA));
    recorder.worker(sum.clone()).flush().await.unwrap();
    let sent = sum.0.load(Relaxed);
    println!("burst: CloudWatchRecorder sends {sent} of {SAMPLES} samples");

    let sum = Sum::default();
    let (stop, stopped) = oneshot::channel();
    let (recorder, task) = theirs(sum.clone(), stopped);
    burst(&recorder.register_histogram(&key()));
    let mut task = pin!(task);
    // What is in the channel is taken in before it is told to stop.
    let _ = tokio::time::timeout(Duration::from_millis(200), &mut task).await;
    drop(stop);
    let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
    let sent = sum.0.load(Relaxed);
    println!("burst: metrics_cloudwatch sends {sent} of {SAMPLES} samples");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut bench = Bench::from_args();
    layers(&mut bench);
    let cloudwatch = CloudWatchRecorder::builder().build().unwrap();
    record(&mut bench, "CloudWatchRecorder", &cloudwatch);
    let prometheus = PrometheusBuilder::new().build_recorder();
    record(&mut bench, "metrics-exporter-prometheus", &prometheus);
    record_theirs(&mut bench, &runtime);
    bench.finish();
    // Instructions are counted of one case alone.
    if env::var_os(COUNT_CASE).is_none() {
        runtime.block_on(burst());
    }
}
