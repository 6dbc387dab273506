use serde_json::{Value, json};
use tower_bedrock_core::{Route, Target};

use super::Operations;

impl Operations {
    /// The least rights that the application needs, as an IAM policy: to call its targets, and to send metrics
    /// in its namespace.
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
        let mut profiles = Vec::new();
        let mut models = Vec::new();
        let mut behind_profiles = Vec::new();
        for target in &self.targets {
            match (profile(target), target.model().route()) {
                (Some(profile), Route::Undetermined) => profiles.push(profile),
                (Some(profile), _) => {
                    profiles.push(profile);
                    // Wherever the profile leads: its Regions are AWS's choice, and change.
                    let base = target.model().base();
                    behind_profiles.push(format!(
                        "arn:${{AWS::Partition}}:bedrock:*::foundation-model/{base}"
                    ));
                }
                (None, _) => models.push(model(target)),
            }
        }
        let unique = |mut arns: Vec<String>| -> Vec<Value> {
            arns.sort_unstable();
            arns.dedup();
            arns.iter().map(|text| arn(text)).collect()
        };
        let (profiles, models, behind) =
            (unique(profiles), unique(models), unique(behind_profiles));
        let actions = [
            "bedrock:InvokeModel",
            "bedrock:InvokeModelWithResponseStream",
        ];
        let mut statements = Vec::new();
        let direct: Vec<_> = profiles.iter().chain(&models).cloned().collect();
        statements.push(json!({
            "Sid": "CallTargets",
            "Effect": "Allow",
            "Action": actions,
            "Resource": direct,
        }));
        if !behind.is_empty() {
            statements.push(json!({
                "Sid": "CallModelsThroughProfiles",
                "Effect": "Allow",
                "Action": actions,
                "Resource": behind,
                "Condition": {"StringLike": {"bedrock:InferenceProfileArn": profiles}},
            }));
        }
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
