use serde_json::{Map, Value, json};

use super::{Alarm, Operations, Query, Severity, dashboard::REGION_PLACEHOLDER};
use crate::names;

/// The mapping from kinds of alarms to what they mean, and what to do.
const ADVICE: &str = "Advice";

impl Operations {
    /// All of it as a CloudFormation template: the dashboard, alarms, log queries, the application's policy,
    /// and a topic for each severity that none was named for.
    #[must_use]
    pub fn cloudformation(&self) -> Value {
        let mut resources = Map::new();
        for severity in Severity::ALL {
            if !self.topics.contains_key(&severity) {
                resources.insert(topic_id(severity), self.topic_resource(severity));
            }
        }
        let mut advice = Map::new();
        for alarm in self.alarms() {
            let kind = alarm.kind();
            advice.insert(kind.as_str().to_owned(), json!({"Text": kind.advice()}));
            resources.insert(alarm_id(&alarm), self.alarm_resource(&alarm));
        }
        resources.insert("Dashboard".to_owned(), self.dashboard_resource());
        for (number, query) in self.log_queries().into_iter().enumerate() {
            let mut properties = json!({"Name": query.name, "QueryString": query.query});
            if !query.log_groups.is_empty() {
                properties["LogGroupNames"] = query.log_groups.into();
            }
            let resource = json!({"Type": "AWS::Logs::QueryDefinition", "Properties": properties});
            resources.insert(format!("LogQuery{number}"), resource);
        }
        let policy = self.policy(|arn| {
            if arn.contains("${") {
                json!({"Fn::Sub": arn})
            } else {
                Value::from(arn)
            }
        });
        resources.insert(
            "ApplicationPolicy".to_owned(),
            json!({
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {
                    "Description": format!("What {} needs to call its Bedrock targets and to send metrics", self.name),
                    "PolicyDocument": policy,
                },
            }),
        );
        json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("Watching the Bedrock calls of {}", self.name),
            "Mappings": {ADVICE: advice},
            "Resources": resources,
        })
    }

    fn topic_resource(&self, severity: Severity) -> Value {
        json!({
            "Type": "AWS::SNS::Topic",
            "Properties": {"DisplayName": format!("{} {}", self.name, severity.as_str())},
        })
    }

    fn alarm_resource(&self, alarm: &Alarm) -> Value {
        let topic = match alarm.topic() {
            Some(arn) => Value::from(arn),
            None => json!({"Ref": topic_id(alarm.severity())}),
        };
        json!({
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": alarm.name(),
                "AlarmDescription": description(alarm),
                "AlarmActions": [topic],
                "OKActions": [topic],
                "Metrics": alarm.queries().iter().map(query).collect::<Vec<_>>(),
                "ComparisonOperator": alarm.comparison_operator(),
                "Threshold": alarm.threshold(),
                "EvaluationPeriods": alarm.evaluation_periods(),
                "DatapointsToAlarm": alarm.datapoints_to_alarm(),
                "TreatMissingData": "notBreaching",
            },
        })
    }

    fn dashboard_resource(&self) -> Value {
        let body = self.dashboard(REGION_PLACEHOLDER).to_string();
        // Metrics are read where the stack is.
        let mut parts = Vec::new();
        for (number, part) in body.split(REGION_PLACEHOLDER).enumerate() {
            if number > 0 {
                parts.push(json!({"Ref": "AWS::Region"}));
            }
            parts.push(Value::from(part));
        }
        json!({
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {
                "DashboardName": self.dashboard_name(),
                "DashboardBody": {"Fn::Join": ["", parts]},
            },
        })
    }
}

/// What an alarm says of itself. What all of its kind say is in the template once: templates have a size.
fn description(alarm: &Alarm) -> Value {
    let kind = alarm.kind();
    let advice = json!({"Fn::FindInMap": [ADVICE, kind.as_str(), "Text"]});
    match alarm.description().strip_suffix(&kind.advice()) {
        Some(own) => json!({"Fn::Join": ["", [own, advice]]}),
        None => Value::from(alarm.description()),
    }
}

fn query(query: &Query) -> Value {
    match query {
        Query::Metric(metric) => json!({
            "Id": metric.id,
            "ReturnData": false,
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": metric.dimensions.iter()
                        .map(|(name, value)| json!({"Name": name, "Value": value}))
                        .collect::<Vec<_>>(),
                },
                "Period": metric.period,
                "Stat": metric.stat,
            },
        }),
        Query::Expression(expression) => json!({
            "Id": "result",
            "Expression": expression,
            "ReturnData": true,
        }),
    }
}

/// Of the alarm's name alone: under another id CloudFormation makes a new alarm, which cannot have the name of the one
/// there is.
fn alarm_id(alarm: &Alarm) -> String {
    let hash = names::fnv1a(alarm.name());
    format!("Alarm{}{hash:016x}", camel(alarm.kind().as_str()))
}

fn topic_id(severity: Severity) -> String {
    format!("Topic{}", camel(severity.as_str()))
}

/// `one-two` and `one two` become `OneTwo`: logical ids are letters and digits, and so are the names that Prometheus'
/// alerts are wont to have.
pub(super) fn camel(text: &str) -> String {
    text.split(['-', ' '])
        .flat_map(|word| {
            let mut chars = word.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars)
        })
        .collect()
}
