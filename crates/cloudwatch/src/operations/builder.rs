use std::collections::BTreeMap;

use tower_bedrock_core::Target;

use super::{AlarmKind, Operations, Severity};
use crate::{limits, names, table};

/// Builds [`Operations`].
#[derive(Clone, Debug)]
#[must_use]
pub struct OperationsBuilder {
    operations: Operations,
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {accepted}")]
pub struct InvalidOperations {
    field: &'static str,
    value: String,
    accepted: &'static str,
}

/// Characters of a managed policy: *IAM and AWS STS quotas*, as of November 2026.
const MAX_POLICY: usize = 6_144;

impl OperationsBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            operations: Operations {
                name,
                namespace: table::NAMESPACE.to_owned(),
                dimensions: Vec::new(),
                targets: Vec::new(),
                topics: BTreeMap::new(),
                log_groups: Vec::new(),
                thresholds: BTreeMap::new(),
            },
        }
    }

    /// Sets the namespace. Default: `GenAI/Application`, as the recorder's.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.operations.namespace = namespace.into();
        self
    }

    /// Adds a dimension that every series has, as the recorder was told.
    pub fn dimension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.operations.dimensions.push((name.into(), value.into()));
        self
    }

    /// Adds a target to be watched. 1 to 40 of them, and fewer where their ARNs are so long that they do not find room
    /// in one managed policy.
    pub fn target(mut self, target: Target) -> Self {
        if !self.operations.targets.contains(&target) {
            self.operations.targets.push(target);
        }
        self
    }

    /// Sets the SNS topic, by its ARN, that alarms of one severity go to. Default: none; a CloudFormation
    /// template then makes one.
    pub fn topic(mut self, severity: Severity, arn: impl Into<String>) -> Self {
        self.operations.topics.insert(severity, arn.into());
        self
    }

    /// Adds a log group that log queries read. Default: none; a query then asks for one when it is opened.
    pub fn log_group(mut self, name: impl Into<String>) -> Self {
        self.operations.log_groups.push(name.into());
        self
    }

    /// Sets an alarm's threshold. See [`AlarmKind`] for units and defaults.
    pub fn threshold(mut self, kind: AlarmKind, threshold: f64) -> Self {
        self.operations.thresholds.insert(kind, threshold);
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// [`InvalidOperations`] names the setting that is out of its range.
    pub fn build(self) -> Result<Operations, InvalidOperations> {
        let Operations {
            name,
            namespace,
            dimensions,
            targets,
            topics,
            log_groups,
            thresholds,
        } = &self.operations;
        let plain = |text: &str, more: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        check(
            (1..=64).contains(&name.len()) && plain(name, "-_"),
            "name",
            name,
            "1 to 64 letters, digits, '-' and '_'",
        )?;
        check(
            (1..=limits::NAME).contains(&namespace.len())
                && plain(namespace, "._-/#:")
                && !namespace.starts_with("AWS/"),
            "namespace",
            namespace,
            "1 to 255 letters, digits and any of '._-/#:', not beginning with 'AWS/'",
        )?;
        check(
            (1..=40).contains(&targets.len()),
            "targets",
            targets.len(),
            "1 to 40: a CloudFormation template holds 500 resources",
        )?;
        let policy_size = self.operations.policy_size();
        check(
            policy_size <= MAX_POLICY,
            "targets",
            format!(
                "{} with a policy of {policy_size} characters",
                targets.len()
            ),
            "targets whose ARNs make at most 6144: a managed policy holds no more",
        )?;
        for (dimension, value) in dimensions {
            let as_sent = names::dimension_name(dimension) == *dimension
                && names::dimension_value(value) == *value;
            check(
                as_sent && !value.contains(['\'', '"']),
                "dimensions",
                format!("{dimension:?} = {value:?}"),
                "printable ASCII without quotes",
            )?;
        }
        for arn in topics.values() {
            let well_formed =
                arn.starts_with("arn:") && arn.contains(":sns:") && plain(arn, ":-_.");
            check(well_formed, "topic", arn, "the ARN of an SNS topic")?;
        }
        for group in log_groups {
            let well_formed = (1..=512).contains(&group.len()) && plain(group, "_-/.#");
            check(
                well_formed,
                "log_group",
                group,
                "1 to 512 letters, digits and any of '_-/.#'",
            )?;
        }
        for (kind, threshold) in thresholds {
            let field = kind.as_str();
            check(
                threshold.is_finite() && *threshold >= 0.0,
                field,
                threshold,
                "a number from 0 on",
            )?;
        }
        Ok(self.operations)
    }
}

fn check(
    holds: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    accepted: &'static str,
) -> Result<(), InvalidOperations> {
    if holds {
        return Ok(());
    }
    Err(InvalidOperations {
        field,
        value: value.to_string(),
        accepted,
    })
}
