//! The template that all of it makes, and the least rights in it.

use std::collections::HashSet;

use serde_json::Value;
use tower_bedrock_cloudwatch::operations::{Operations, OperationsBuilder, Severity};

use crate::{PROFILE, builder, operations, target};

const APPLICATION_PROFILE: &str =
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";

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
    assert_eq!(count("AWS::CloudWatch::Alarm"), 18);
    assert_eq!(count("AWS::CloudWatch::Dashboard"), 1);
    assert_eq!(count("AWS::IAM::ManagedPolicy"), 1);
    assert!(count("AWS::Logs::QueryDefinition") >= 3);
}

/// As the documentation of `deploy` says.
#[test]
fn a_template_of_three_targets_fits_a_request() {
    let three = builder().target(target("us-west-2", "amazon.nova-pro-v1:0"));
    let template = three.build().unwrap().cloudformation();
    let bytes = template.to_string().len();
    assert!(bytes <= 51_200, "{bytes}");
    let text = &template["Mappings"]["Advice"]["throttled"]["Text"];
    assert!(text.as_str().unwrap().contains("What to do: "));
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
    assert_eq!((two.len(), three.len()), (18, 27));
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
