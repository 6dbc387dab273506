//! What is put in place says what to do, watches what is sent, and stays within what CloudWatch takes.

#![allow(clippy::unwrap_used)]

mod template;

use std::collections::HashSet;

use serde_json::Value;
use tower_bedrock_cloudwatch::{
    METRICS,
    operations::{AlarmKind, Operations, OperationsBuilder, Query, Severity},
};
use tower_bedrock_core::Target;

const PROFILE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn target(region: &str, model: &str) -> Target {
    Target::parse(region, model).unwrap()
}

fn builder() -> OperationsBuilder {
    Operations::builder("chat")
        .dimension("Service", "chat")
        .target(target("us-east-1", PROFILE))
        .target(target("us-west-2", "amazon.nova-lite-v1:0"))
}

fn operations() -> Operations {
    builder().build().unwrap()
}

#[test]
fn every_alarm_says_what_it_means_and_what_to_do() {
    let operations = operations();
    let mut names = HashSet::new();
    for alarm in operations.alarms() {
        let description = alarm.description();
        assert!(description.starts_with(&format!("[{}] ", alarm.severity().as_str())));
        assert!(description.contains(" What to do: "), "{description}");
        assert!(
            description.len() <= 1_024,
            "{} in {}",
            description.len(),
            alarm.name()
        );
        assert!((1..=255).contains(&alarm.name().len()));
        assert!(
            names.insert(alarm.name().to_owned()),
            "{} twice",
            alarm.name()
        );
        assert!(alarm.datapoints_to_alarm() <= alarm.evaluation_periods());
    }
    let severities: HashSet<_> = operations.alarms().iter().map(|a| a.severity()).collect();
    assert_eq!(severities.len(), Severity::ALL.len());
}

#[test]
fn alarms_watch_metrics_of_the_table_by_all_their_dimensions() {
    for alarm in operations().alarms() {
        let Some((Query::Expression(expression), inputs)) = alarm.queries().split_last() else {
            panic!("an alarm ends with what is compared");
        };
        assert!(inputs.len() < 10, "CloudWatch takes ten at most");
        for input in inputs {
            let Query::Metric(input) = input else {
                panic!("one expression is enough");
            };
            assert!(expression.contains(input.id), "{expression}");
            assert!(input.id.starts_with(|c: char| c.is_ascii_lowercase()));
            let metric = METRICS
                .iter()
                .find(|metric| metric.name == input.name)
                .unwrap();
            let found: HashSet<_> = input
                .dimensions
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            let mut wanted: HashSet<_> = metric.labels.iter().copied().collect();
            wanted.insert("Service");
            let rolled_up: HashSet<_> = wanted.iter().copied().filter(|l| *l != "Fault").collect();
            assert!(
                found == wanted || found == rolled_up,
                "{found:?} of {}",
                input.name
            );
        }
    }
}

/// The newest minute of a metric that is sent once a minute may not be there yet: filled with a zero, it is taken for
/// a good one.
#[test]
fn alarms_of_minutes_bear_one_that_comes_late() {
    for alarm in operations().alarms() {
        let Some((Query::Expression(expression), inputs)) = alarm.queries().split_last() else {
            panic!("an alarm ends with what is compared");
        };
        if inputs.len() == 1 {
            assert!(!expression.contains("FILL"), "{expression}");
        }
        if alarm.evaluation_periods() > 1 {
            assert!(alarm.datapoints_to_alarm() < alarm.evaluation_periods());
        }
    }
}

/// Prometheus scrapes once a minute unless told otherwise, and growth takes two samples: four scrapes, as it
/// recommends, also bear one that fails.
#[test]
fn prometheus_rules_look_at_four_minutes_at_least() {
    let rules = operations().prometheus_rules();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with(char::is_uppercase), "{name}");
        assert!(name.chars().all(char::is_alphanumeric), "{name}");
        let text = rule["expr"].as_str().unwrap();
        for range in text.split('[').skip(1) {
            let (range, _) = range.split_once(']').unwrap();
            let minutes: u32 = range.strip_suffix('m').unwrap().parse().unwrap();
            assert!(minutes >= 4, "{text}");
        }
    }
}

#[test]
fn targets_that_share_a_quota_share_its_alarm() {
    let operations = builder().target(target(
        "us-east-1",
        "eu.anthropic.claude-sonnet-4-20250514-v1:0",
    ));
    let alarms = operations.build().unwrap().alarms();
    let count = |kind| alarms.iter().filter(|alarm| alarm.kind() == kind).count();
    assert_eq!(count(AlarmKind::Throttled), 3);
    assert_eq!(count(AlarmKind::QuotaNearlyUsed), 2);
    assert_eq!(count(AlarmKind::QuotaStoreLost), 2);
}

#[test]
fn the_longest_of_model_ids_fits_everywhere() {
    let long = format!(
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/{}",
        "x".repeat(1_900)
    );
    let operations = builder()
        .target(target("us-east-1", &long))
        .build()
        .unwrap();
    for alarm in operations.alarms() {
        assert!(alarm.name().len() <= 255 && alarm.description().len() <= 1_024);
        for query in alarm.queries() {
            if let Query::Metric(metric) = query {
                assert!(
                    metric
                        .dimensions
                        .iter()
                        .all(|(_, value)| value.len() <= 1_024)
                );
            }
        }
    }
}

#[test]
fn thresholds_can_be_set() {
    let operations = builder()
        .threshold(AlarmKind::SuccessLow, 99.5)
        .build()
        .unwrap();
    let alarms = operations.alarms();
    let alarm = alarms
        .iter()
        .find(|alarm| alarm.kind() == AlarmKind::SuccessLow)
        .unwrap();
    assert_eq!(alarm.threshold(), 99.5);
    let rules = operations.prometheus_rules().to_string();
    assert!(rules.contains("< 99.5") && rules.contains("RequestsFail"));
}

#[test]
fn throttles_and_outages_have_widgets_of_their_own() {
    let dashboard = operations().dashboard("us-east-1");
    let widgets = dashboard["widgets"].as_array().unwrap();
    let of = |metric: &str| -> Vec<&Value> {
        let has = |widget: &&Value| widget["properties"]["metrics"].to_string().contains(metric);
        widgets.iter().filter(has).collect()
    };
    assert!(
        of("InvocationThrottles")
            .iter()
            .all(|w| !w.to_string().contains("InvocationServerErrors"))
    );
    assert!(of("InvocationThrottles").len() >= 2 && of("InvocationServerErrors").len() >= 2);
    assert!(
        widgets
            .iter()
            .any(|widget| widget["properties"]["start"] == "-P8D")
    );
    for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
        assert_eq!(widget["properties"]["region"], "us-east-1");
        let metrics = widget["properties"]["metrics"].to_string();
        assert!(metrics.contains("Service"), "{metrics}");
    }
}

#[test]
fn settings_are_checked() {
    let error = |builder: OperationsBuilder| builder.build().unwrap_err().to_string();
    assert!(error(Operations::builder("a b")).starts_with("name is a b"));
    assert!(error(Operations::builder("a")).starts_with("targets is 0"));
    assert!(error(builder().namespace("AWS/Bedrock")).starts_with("namespace is"));
    assert!(error(builder().topic(Severity::Notice, "pager")).starts_with("topic is pager"));
    assert!(
        error(builder().threshold(AlarmKind::Throttled, f64::NAN)).starts_with("throttled is NaN")
    );
    assert!(error(builder().dimension("a", "x' OR")).starts_with("dimensions is"));
}

/// Prometheus' and Grafana's expressions speak of metrics and labels that there are.
#[test]
fn queries_name_what_there_is() {
    let operations = operations();
    let mut texts = vec![
        operations.prometheus_rules().to_string(),
        operations.grafana_dashboard().to_string(),
    ];
    texts.push(operations.dashboard("us-east-1").to_string());
    for metric in METRICS {
        let used = texts.iter().any(|text| text.contains(metric.name));
        let by_nobody = [
            "Invocations",
            "InvocationClientErrors",
            "CancelledInvocations",
            "RequestLatency",
            "RetryDelay",
            "CircuitBreakerTransitions",
            "QuotaDebt",
            "QuotaWaiting",
            "QuotaCallsInFlight",
            "QuotaTokensReserved",
            "QuotaRefusals",
            "QuotaThrottles",
            "QuotaEstimateError",
        ];
        assert!(
            used || by_nobody.contains(&metric.name),
            "{} is shown nowhere",
            metric.name
        );
    }
}
