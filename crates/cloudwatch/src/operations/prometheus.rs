use serde_json::{Value, json};

use super::{AlarmKind, Operations, cloudformation::camel};

impl Operations {
    /// The alarms as Prometheus' alerting rules: the contents of a rule file, which may be JSON because all
    /// JSON is YAML. They hold for every target there is.
    ///
    /// They are made for scrapes every minute, Prometheus' default, or more often. A counter that is
    /// born with its first error does not grow by it: name your targets to the layers
    /// ([`with_targets`](crate::MetricsLayer::with_targets)), and theirs are there from the beginning.
    #[must_use]
    pub fn prometheus_rules(&self) -> Value {
        let rules: Vec<_> = AlarmKind::ALL
            .iter()
            .map(|kind| {
                let rule = kind.rule();
                let threshold = self.threshold(*kind).to_string();
                json!({
                    "alert": camel(rule.title),
                    "expr": rule.promql.replace("{threshold}", &threshold),
                    "for": rule.promql_for,
                    "labels": {"severity": rule.severity.as_str()},
                    "annotations": {
                        "summary": format!("{}: {{{{ $labels.ModelId }}}} in {{{{ $labels.Region }}}}", rule.title),
                        "description": kind.advice(),
                    },
                })
            })
            .collect();
        json!({"groups": [{"name": self.dashboard_name(), "rules": rules}]})
    }
}
