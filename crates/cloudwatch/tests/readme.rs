//! The README's table of metrics is the crate's.

use metrics::Unit;
use tower_bedrock_cloudwatch::{METRICS, table::Kind};

#[test]
fn the_readme_tells_of_every_metric() {
    let mut table =
        "| metric | kind | unit | labels | what one of it means |\n|---|---|---|---|---|\n"
            .to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            Unit::Milliseconds => "ms",
            Unit::Percent => "%",
            _ => "count",
        };
        table.push_str(&format!(
            "| `{}` | {kind} | {unit} | {} | {} |\n",
            metric.name,
            metric.labels.join(", "),
            metric.description
        ));
    }
    let readme = include_str!("../README.md").replace("\r\n", "\n");
    assert!(
        readme.contains(&table),
        "the README's table should be:\n\n{table}"
    );
}
