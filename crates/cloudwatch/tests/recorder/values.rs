//! What arrives is what was recorded.

use metrics::{Recorder, Unit};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, RELATIVE_ERROR, Worker};

use crate::{METADATA, builder, count, fake::Fake, key, sample};

fn start() -> (CloudWatchRecorder, Fake, Worker<Fake>) {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    let worker = recorder.worker(fake.clone());
    (recorder, fake, worker)
}

#[tokio::test(start_paused = true)]
async fn counters_are_sent_as_what_they_grew_by() {
    let (recorder, fake, mut worker) = start();
    count(&recorder, "Orders", &[("Shop", "a")], 3);
    worker.flush().await.unwrap();
    worker.flush().await.unwrap();
    count(&recorder, "Orders", &[("Shop", "a")], 4);
    worker.flush().await.unwrap();
    assert_eq!(fake.values("Orders{Shop=a}"), [(3.0, 1), (4.0, 1)]);
    // What did not grow is not sent, and where nothing did, nothing is.
    assert_eq!(fake.with(|state| state.requests), 2);
}

#[tokio::test(start_paused = true)]
async fn gauges_are_sent_as_they_stand() {
    let (recorder, fake, mut worker) = start();
    let gauge = recorder.register_gauge(&key("Level", &[]), &METADATA);
    worker.flush().await.unwrap();
    gauge.set(7.5);
    gauge.decrement(10.0);
    worker.flush().await.unwrap();
    worker.flush().await.unwrap();
    assert_eq!(fake.values("Level{}"), [(-2.5, 1), (-2.5, 1)]);
}

#[tokio::test(start_paused = true)]
async fn units_are_cloudwatchs() {
    let (recorder, fake, mut worker) = start();
    recorder.describe_counter("Bytes".into(), Some(Unit::Kibibytes), "".into());
    recorder.describe_histogram("Wait".into(), Some(Unit::Milliseconds), "".into());
    count(&recorder, "Bytes", &[], 2);
    count(&recorder, "Nobody", &[], 1);
    sample(&recorder, "Wait", &[], 1.0);
    worker.flush().await.unwrap();
    assert_eq!(fake.sum("Bytes{}"), 2_048.0);
    let units = fake.with(|state| state.units.clone());
    assert_eq!(units["Bytes"], "Bytes");
    assert_eq!(units["Wait"], "Milliseconds");
    assert_eq!(units["Nobody"], "None");
}

#[tokio::test(start_paused = true)]
async fn counters_are_rolled_up_over_kinds_of_fault() {
    let (recorder, fake, mut worker) = start();
    for (fault, by) in [("throttled_tokens", 2), ("model_overloaded", 3)] {
        count(
            &recorder,
            "InvocationThrottles",
            &[("ModelId", "m"), ("Fault", fault)],
            by,
        );
    }
    worker.flush().await.unwrap();
    assert_eq!(
        fake.sum("InvocationThrottles{Fault=throttled_tokens,ModelId=m}"),
        2.0
    );
    assert_eq!(fake.sum("InvocationThrottles{ModelId=m}"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn dimensions_of_all_are_added() {
    let fake = Fake::default();
    let recorder = builder().dimension("Service", "chat").build().unwrap();
    count(&recorder, "Orders", &[("Shop", "a")], 1);
    recorder.worker(fake.clone()).flush().await.unwrap();
    assert_eq!(fake.sum("Orders{Service=chat,Shop=a}"), 1.0);
}

/// 1,000,000 samples and 3,000 series in one flush, within every limit.
#[tokio::test(start_paused = true)]
async fn a_million_samples_keep_their_percentiles() {
    let (recorder, fake, mut worker) = start();
    let mut rng = StdRng::seed_from_u64(1);
    let mut exact: Vec<Vec<f64>> = vec![Vec::new(); 50];
    let names: Vec<_> = (0..exact.len()).map(|n| format!("model-{n}")).collect();
    let histograms: Vec<_> = names
        .iter()
        .map(|model| recorder.register_histogram(&key("Latency", &[("ModelId", model)]), &METADATA))
        .collect();
    for sample in 0..1_000_000 {
        let of = sample % histograms.len();
        // From a tenth of a millisecond to a quarter of an hour, most of them in the middle.
        let value = 10f64.powf(rng.random_range(-1.0..3.0) + rng.random_range(0.0..3.0));
        histograms[of].record(value);
        exact[of].push(value);
    }
    for n in 0..2_950 {
        count(
            &recorder,
            "Calls",
            &[("N", &n.to_string()), ("Long", &"x".repeat(900))],
            1,
        );
    }
    worker.flush().await.unwrap();

    for (model, mut exact) in names.iter().zip(exact) {
        let series = format!("Latency{{ModelId={model}}}");
        exact.sort_by(f64::total_cmp);
        let close = |found: f64, exact: f64, what: &str| {
            let error = (found - exact).abs() / exact;
            assert!(
                error <= RELATIVE_ERROR,
                "{what} of {model}: {found}, exactly {exact}"
            );
        };
        assert_eq!(fake.count(&series), exact.len() as u64);
        close(fake.sum(&series), exact.iter().sum(), "sum");
        for percent in [0.1, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = (exact.len() as f64 * percent / 100.0).ceil() as usize;
            close(
                fake.percentile(&series, percent),
                exact[rank - 1],
                "percentile",
            );
        }
    }
    let stats = recorder.stats();
    assert_eq!(
        (stats.data_lost, stats.values_refused, stats.series_refused),
        (0, 0, 0)
    );
    // The limit on bytes was put to the test, not only that on data.
    assert!(fake.with(|state| state.largest) > 900_000);
    assert!(stats.requests > 3, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn series_are_bounded_and_those_refused_are_counted() {
    let fake = Fake::default();
    let recorder = builder().max_series(10).build().unwrap();
    for n in 0..100 {
        count(&recorder, "Calls", &[("N", &n.to_string())], 1);
        count(&recorder, "Faults", &[("Fault", &n.to_string())], 1);
        sample(&recorder, "Latency", &[("N", &n.to_string())], 1.0);
    }
    recorder.worker(fake.clone()).flush().await.unwrap();
    assert!(fake.with(|state| state.stored.len()) <= 10);
    assert!(recorder.stats().series_refused >= 290);
}

#[tokio::test(start_paused = true)]
async fn values_that_cannot_be_sent_are_refused_and_counted() {
    let (recorder, fake, mut worker) = start();
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e300, 1.0] {
        sample(&recorder, "Latency", &[], value);
    }
    recorder
        .register_gauge(&key("Level", &[]), &METADATA)
        .set(1e200);
    worker.flush().await.unwrap();
    assert_eq!(fake.values("Latency{}"), [(1.0, 1)]);
    assert_eq!(fake.count("Level{}"), 0);
    assert_eq!(recorder.stats().values_refused, 5);
}

#[test]
fn settings_are_checked() {
    let error = |builder: tower_bedrock_cloudwatch::recorder::CloudWatchRecorderBuilder| {
        builder.build().unwrap_err().to_string()
    };
    assert!(error(builder().namespace("AWS/Bedrock")).starts_with("namespace is \"AWS/Bedrock\""));
    assert!(error(builder().dimension("Service", "")).starts_with("dimensions is"));
    assert_eq!(
        error(builder().interval(std::time::Duration::ZERO)),
        "interval is 0ns: expected 1s to 3600s"
    );
    assert_eq!(
        error(builder().max_series(0)),
        "max_series is 0: expected 1 to 1000000"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{0,8}",
        any::<String>(),
        (0usize..2_100).prop_map(|length| "y".repeat(length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The strict fake panics where a limit is broken.
    #[test]
    fn whatever_is_recorded_is_within_the_limits(
        series in proptest::collection::vec(
            (any_text(), proptest::collection::vec((any_text(), any_text()), 0..35), 1u64..1_000),
            0..20,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (recorder, fake, mut worker) = start();
            let mut sum = 0;
            for (name, labels, by) in &series {
                let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                count(&recorder, name, &labels, *by);
                sum += by;
            }
            worker.flush().await.unwrap();
            let stored: Vec<_> = fake.with(|state| state.stored.keys().cloned().collect());
            let found: f64 = stored.iter().map(|series| fake.sum(series)).sum();
            assert_eq!(found, sum as f64);
        });
    }
}
