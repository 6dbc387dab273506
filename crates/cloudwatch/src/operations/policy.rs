use serde_json::{Value, json};
use tower_bedrock_core::{Route, Target};

use super::Operations;

impl Operations {
    /// The least rights that the application needs, as an IAM policy: to call its targets, to count tokens, and to
    /// send metrics in its namespace.
    ///
    /// The partition is `aws` and the account any; [`cloudformation`](Self::cloudformation) fills in both.
    #[must_use]
    pub fn iam_policy(&self) -> Value {
        self.policy(|arn| {
            Value::from(
                arn.replace("${AWS::Partition}", "aws")
                    .replace("${AWS::AccountId}", "*"),
            )
        })
    }

    pub(crate) fn policy(&self, arn: impl Fn(&str) -> Value) -> Value {
        let mut called: Vec<_> = self
            .targets
            .iter()
            .map(|target| profile(target).unwrap_or_else(|| model(target)))
            .collect();
        called.sort_unstable();
        called.dedup();
        let called: Vec<_> = called.iter().map(|text| arn(text)).collect();
        let invoke = [
            "bedrock:InvokeModel",
            "bedrock:InvokeModelWithResponseStream",
        ];
        let mut statements = vec![json!({
            "Sid": "CallTargets",
            "Effect": "Allow",
            "Action": invoke,
            "Resource": called,
        })];
        if self.targets.iter().any(|target| profile(target).is_some()) {
            // A call through a profile needs the right to both, and where it leads is not known here: its Regions are
            // AWS's choice, and an application's profile does not name its model. The profile is what bounds it:
            // only those above can be called.
            statements.push(json!({
                "Sid": "CallModelsThroughProfiles",
                "Effect": "Allow",
                "Action": invoke,
                "Resource": arn("arn:${AWS::Partition}:bedrock:*::foundation-model/*"),
                "Condition": {"StringLike": {
                    "bedrock:InferenceProfileArn":
                        arn("arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:*inference-profile/*"),
                }},
            }));
        }
        // Free of charge, and of models: those behind profiles are not known.
        statements.push(json!({
            "Sid": "CountTokens",
            "Effect": "Allow",
            "Action": "bedrock:CountTokens",
            "Resource": "*",
        }));
        statements.push(json!({
            "Sid": "SendMetrics",
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            // This action knows no resources: the namespace is what bounds it.
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": self.namespace}},
        }));
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    /// How many characters the policy takes at most, which IAM bounds.
    pub(crate) fn policy_size(&self) -> usize {
        let policy = self.policy(|arn| {
            Value::from(
                arn.replace("${AWS::Partition}", "aws-us-gov")
                    .replace("${AWS::AccountId}", "123456789012"),
            )
        });
        policy.to_string().len()
    }
}

/// The ARN of the inference profile that a target calls, where it calls one.
fn profile(target: &Target) -> Option<String> {
    let id = target.model().as_str();
    let of_profile = match target.model().route() {
        Route::Geographic(_) | Route::Global => true,
        Route::Undetermined => id.starts_with("arn:"),
        _ => false,
    };
    let region = target.region();
    match (of_profile, id.starts_with("arn:")) {
        (false, _) => None,
        (true, true) => Some(id.to_owned()),
        (true, false) => Some(format!(
            "arn:${{AWS::Partition}}:bedrock:{region}:${{AWS::AccountId}}:inference-profile/{id}"
        )),
    }
}

fn model(target: &Target) -> String {
    let (id, region) = (target.model().as_str(), target.region());
    if id.starts_with("arn:") {
        id.to_owned()
    } else {
        format!("arn:${{AWS::Partition}}:bedrock:{region}::foundation-model/{id}")
    }
}
