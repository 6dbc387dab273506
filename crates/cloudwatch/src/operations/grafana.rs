use serde_json::{Value, json};

use super::{
    Operations,
    dashboard::{HOW_TO_READ, Line, PANELS, Panel},
};

impl Operations {
    /// A Grafana dashboard over Prometheus, with the same panels as CloudWatch's.
    ///
    /// The data source is asked for when it is imported. Percentiles are those of a summary, which is
    /// what `metrics-exporter-prometheus` makes of a histogram unless it is told buckets.
    #[must_use]
    pub fn grafana_dashboard(&self) -> Value {
        const WIDTH: usize = 12;
        const HEIGHT: usize = 8;
        let mut panels = vec![json!({
            "id": 1,
            "type": "text",
            "title": "",
            "gridPos": {"x": 0, "y": 0, "w": 2 * WIDTH, "h": 2},
            "options": {"mode": "markdown", "content": HOW_TO_READ},
        })];
        for (number, panel) in PANELS.iter().enumerate() {
            panels.push(json!({
                "id": number + 2,
                "type": "timeseries",
                "title": panel.title,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": WIDTH * (number % 2), "y": 2 + HEIGHT * (number / 2), "w": WIDTH, "h": HEIGHT},
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
                "targets": targets(panel),
            }));
        }
        json!({
            "title": format!("{} and Bedrock", self.name),
            "uid": self.dashboard_name(),
            "schemaVersion": 39,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "tags": ["bedrock"],
            "templating": {"list": [{
                "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            }]},
            "panels": panels,
        })
    }
}

fn targets(panel: &Panel) -> Vec<Value> {
    let mut targets = Vec::new();
    for line in panel.lines {
        targets.push(target(targets.len(), line, ""));
        if panel.against_last_week {
            targets.push(target(targets.len(), line, " offset 1w"));
        }
    }
    targets
}

fn target(number: usize, line: &Line, offset: &str) -> Value {
    let of_line = match line {
        Line::Each { metric, name, .. } => {
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("{{{{{label}}}}}"))
                .collect();
            format!("{name} {}", labels.join(" "))
        }
        Line::Share { .. } => line.label().to_owned(),
    };
    let when = if offset.is_empty() { "" } else { ", last week" };
    // A dashboard has no more than 26 lines a panel.
    let letter = char::from(b'A' + u8::try_from(number).unwrap_or(25).min(25));
    json!({
        "refId": letter.to_string(),
        "expr": line.promql("$__rate_interval", offset),
        "legendFormat": format!("{}{when}", of_line.trim()),
    })
}
