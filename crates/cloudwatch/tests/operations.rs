//! What is put in place says what to do, watches what is sent, and stays within what CloudWatch takes.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use serde_json::Value;
use tower_bedrock_cloudwatch::{
    METRICS,
    operations::{AlarmKind, Operations, OperationsBuilder, Query, Severity},
};
use tower_bedrock_core::Target;

const PROFILE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const APPLICATION_PROFILE: &str =
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";

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
fn rights_are_the_least_there_are() {
    let operations = builder()
        .target(target("us-east-1", APPLICATION_PROFILE))
        .build()
        .unwrap();
    let policy = operations.iam_policy();
    let [call, through, count, send] = &policy["Statement"].as_array().unwrap()[..] else {
        panic!("{policy:#}");
    };
    let resources: Vec<_> = call["Resource"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        resources,
        [
            "arn:aws:bedrock:us-east-1:*:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
            "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0",
            APPLICATION_PROFILE,
        ]
    );
    // Any model, which the profiles bound: nobody knows which is behind an application's.
    assert_eq!(through["Action"], call["Action"]);
    assert_eq!(through["Resource"], "arn:aws:bedrock:*::foundation-model/*");
    assert_eq!(
        through["Condition"]["StringLike"]["bedrock:InferenceProfileArn"],
        "arn:aws:bedrock:*:*:*inference-profile/*"
    );
    assert_eq!(count["Action"], "bedrock:CountTokens");
    assert_eq!(
        send["Condition"]["StringEquals"]["cloudwatch:namespace"],
        "GenAI/Application"
    );
    assert!(!policy.to_string().contains("bedrock:*\""));
}

#[test]
fn a_policy_without_profiles_calls_models_directly_alone() {
    let operations =
        Operations::builder("chat").target(target("us-west-2", "amazon.nova-lite-v1:0"));
    let policy = operations.build().unwrap().iam_policy();
    assert!(!policy.to_string().contains("InferenceProfileArn"));
}

#[test]
fn a_template_makes_the_topics_that_were_not_named() {
    let resources = |operations: Operations| {
        operations.cloudformation()["Resources"]
            .as_object()
            .unwrap()
            .clone()
    };
    let all = resources(operations());
    assert!(all.contains_key("TopicCritical") && all.contains_key("TopicNotice"));
    let arn = "arn:aws:sns:us-east-1:123456789012:pager";
    let named = resources(builder().topic(Severity::Critical, arn).build().unwrap());
    assert!(!named.contains_key("TopicCritical"));
    assert!(
        named
            .values()
            .any(|r| r["Properties"]["AlarmActions"][0] == arn)
    );
    let count = |kind: &str| all.values().filter(|r| r["Type"] == kind).count();
    assert_eq!(count("AWS::CloudWatch::Alarm"), 16);
    assert_eq!(count("AWS::CloudWatch::Dashboard"), 1);
    assert_eq!(count("AWS::IAM::ManagedPolicy"), 1);
    assert!(count("AWS::Logs::QueryDefinition") >= 3);
}

/// CloudFormation takes a resource of another logical id for another resource, and an alarm's name is taken then.
#[test]
fn further_targets_leave_alarms_under_their_logical_ids() {
    let ids = |builder: OperationsBuilder| -> HashSet<(String, String)> {
        let template = builder.build().unwrap().cloudformation();
        let resources = template["Resources"].as_object().unwrap();
        let alarms = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
        alarms
            .map(|(id, alarm)| (id.clone(), alarm["Properties"]["AlarmName"].to_string()))
            .collect()
    };
    let two = ids(builder());
    let reordered = Operations::builder("chat")
        .target(target("eu-west-1", "amazon.nova-pro-v1:0"))
        .target(target("us-west-2", "amazon.nova-lite-v1:0"))
        .target(target("us-east-1", PROFILE));
    let three = ids(reordered);
    assert_eq!((two.len(), three.len()), (16, 24));
    assert!(two.is_subset(&three));
    for (id, _) in three {
        assert!(id.len() <= 255 && id.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}

#[test]
fn as_many_targets_as_are_taken_make_one_template() {
    let mut builder = builder();
    for n in 12..50 {
        // As long as the longest of AWS's own.
        let model = format!("us.anthropic.claude-3-5-sonnet-202410{n}-v2:0");
        builder = builder.target(target("us-east-1", &model));
    }
    let template = builder.clone().build().unwrap().cloudformation();
    assert!(template["Resources"].as_object().unwrap().len() <= 500);
    assert!(
        template.to_string().len() <= 1_000_000,
        "{}",
        template.to_string().len()
    );
    // With the Region's and the account's ARNs filled in.
    let policy = template["Resources"]["ApplicationPolicy"]["Properties"]["PolicyDocument"]
        .to_string()
        .replace("${AWS::Partition}", "aws-us-gov")
        .replace("${AWS::AccountId}", "123456789012");
    let document: Value = serde_json::from_str(&policy).unwrap();
    let size = joined(document).to_string().len();
    assert!(size <= 6_144, "{size}");
    let error = builder
        .target(target("us-east-1", "acme.more-v1:0"))
        .build()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("targets is 41: expected 1 to 40")
    );
}

/// What `Fn::Sub` leaves.
fn joined(value: Value) -> Value {
    match value {
        Value::Object(mut object) => match object.remove("Fn::Sub") {
            Some(text) => text,
            None => object.into_iter().map(|(k, v)| (k, joined(v))).collect(),
        },
        Value::Array(values) => values.into_iter().map(joined).collect(),
        other => other,
    }
}

#[test]
fn targets_that_no_policy_holds_are_refused() {
    let mut builder = builder();
    for n in 0..4 {
        let arn = format!("{APPLICATION_PROFILE}{}{n}", "x".repeat(1_500));
        builder = builder.target(target("us-east-1", &arn));
    }
    let error = builder.build().unwrap_err().to_string();
    assert!(
        error.starts_with("targets is 6 with a policy of "),
        "{error}"
    );
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
