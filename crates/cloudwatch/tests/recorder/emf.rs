//! EMF against its specification. The real-client tests hold it against the schema that AWS publishes.

use serde_json::{Value, json};
use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, EmfSink, Histograms};

use crate::{builder, count, key, sample};
use metrics::Recorder;

async fn events(recorder: &CloudWatchRecorder, histograms: Histograms) -> Vec<Value> {
    let sink = EmfSink::new(Vec::new()).with_histograms(histograms);
    let mut worker = recorder.worker(sink);
    worker.flush().await.unwrap();
    let log = String::from_utf8(worker.get_ref().get_ref().clone()).unwrap();
    log.lines()
        .map(|line| {
            assert!(line.len() <= 1_000_000, "an event of {} bytes", line.len());
            let event: Value = serde_json::from_str(line).unwrap();
            targets(&event);
            event
        })
        .collect()
}

/// Within the limits, every reference has its target member: of metrics, the numbers; of dimensions, a text.
fn targets(event: &Value) {
    assert!(event["_aws"]["Timestamp"].is_u64());
    for directive in event["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "GenAI/Application");
        assert!((1..=100).contains(&directive["Metrics"].as_array().unwrap().len()));
        assert!(directive["Dimensions"][0].as_array().unwrap().len() <= 30);
        for metric in directive["Metrics"].as_array().unwrap() {
            let target = &event[metric["Name"].as_str().unwrap()];
            let number = |value: &Value| value.as_f64().is_some_and(f64::is_finite);
            let values = target
                .as_array()
                .is_some_and(|v| (1..=100).contains(&v.len()) && v.iter().all(number));
            let counts = target["Values"].as_array().map(Vec::len);
            let paired = counts.is_some_and(|n| (1..=100).contains(&n))
                && counts == target["Counts"].as_array().map(Vec::len);
            assert!(number(target) || values || paired, "{metric} is {target}");
        }
        for dimension in directive["Dimensions"][0].as_array().unwrap() {
            let value = event[dimension.as_str().unwrap()].as_str().unwrap();
            assert!((1..=1_024).contains(&value.len()));
        }
    }
}

fn sum(events: &[Value], metric: &str) -> f64 {
    let of = |event: &Value| match &event[metric] {
        Value::Number(value) => value.as_f64().unwrap(),
        Value::Array(values) => values.iter().filter_map(Value::as_f64).sum(),
        Value::Object(values) => values["Sum"].as_f64().unwrap(),
        _ => 0.0,
    };
    events.iter().map(of).sum()
}

#[tokio::test(start_paused = true)]
async fn few_samples_are_written_as_documented() {
    let recorder = builder().dimension("Service", "chat").build().unwrap();
    for n in 0..250 {
        sample(
            &recorder,
            "Latency",
            &[("ModelId", "m")],
            f64::from(1 << (n % 8)),
        );
        count(&recorder, "Calls", &[("ModelId", "m")], 1);
    }
    let events = events(&recorder, Histograms::Repeated).await;
    assert_eq!(events.len(), 3);
    assert_eq!(sum(&events, "Calls"), 250.0);
    let exact: f64 = (0..250).map(|n| f64::from(1 << (n % 8))).sum();
    assert_eq!(sum(&events, "Latency"), exact);
    assert_eq!(events[0]["Service"], "chat");
    assert_eq!(
        events[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([["ModelId", "Service"]])
    );
}

#[tokio::test(start_paused = true)]
async fn many_samples_are_written_as_values_and_counts() {
    for histograms in [Histograms::Repeated, Histograms::ValuesAndCounts] {
        let recorder = builder().build().unwrap();
        let histogram = recorder.register_histogram(&key("Latency", &[]), &crate::METADATA);
        histogram.record_many(2.0, 1_000_000);
        let events = events(&recorder, histograms).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["Latency"]["Counts"], json!([1_000_000]));
        assert_eq!(sum(&events, "Latency"), 2_000_000.0);
    }
}

#[tokio::test(start_paused = true)]
async fn many_different_values_are_shared_out_among_events() {
    for histograms in [Histograms::Repeated, Histograms::ValuesAndCounts] {
        let recorder = builder().build().unwrap();
        let histogram = recorder.register_histogram(&key("Latency", &[]), &crate::METADATA);
        let values: Vec<f64> = (0..140).map(|n| 1.05f64.powi(n)).collect();
        values.iter().for_each(|v| histogram.record_many(*v, 20));
        count(&recorder, "Calls", &[], 1);
        let events = events(&recorder, histograms).await;
        let exact = 20.0 * values.iter().sum::<f64>();
        assert!((sum(&events, "Latency") / exact - 1.0).abs() < 0.02);
        assert_eq!(sum(&events, "Calls"), 1.0);
        let samples = |event: &Value| event["Latency"]["Count"].as_u64().unwrap_or(0);
        assert_eq!(events.iter().map(samples).sum::<u64>(), 140 * 20);
    }
}

#[tokio::test(start_paused = true)]
async fn names_keep_clear_of_the_envelope() {
    let recorder = builder().dimension("_aws", "mine").build().unwrap();
    count(&recorder, "_aws", &[], 3);
    count(&recorder, "Calls", &[], 2);
    let events = events(&recorder, Histograms::Repeated).await;
    assert_eq!(events.len(), 1);
    assert_eq!(sum(&events, "_aws__"), 3.0);
    assert_eq!(sum(&events, "Calls"), 2.0);
    assert_eq!(events[0]["_aws_"], "mine");
}

#[tokio::test(start_paused = true)]
async fn events_keep_the_limits() {
    let recorder = builder().build().unwrap();
    for n in 0..1_000 {
        // One of them has the name of its dimension.
        let name = if n == 7 {
            "ModelId".to_owned()
        } else {
            format!("{}{n}", "M".repeat(240))
        };
        for samples in 0..20 {
            sample(
                &recorder,
                &name,
                &[("ModelId", &"m".repeat(2_000))],
                f64::from(1 << samples),
            );
        }
    }
    let events = events(&recorder, Histograms::Repeated).await;
    assert!(events.len() >= 10);
    let metrics: usize = events
        .iter()
        .map(|e| {
            e["_aws"]["CloudWatchMetrics"][0]["Metrics"]
                .as_array()
                .unwrap()
                .len()
        })
        .sum();
    assert_eq!(metrics, 1_000);
}
