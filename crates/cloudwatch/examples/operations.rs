//! Prints what an operator needs for a configuration.
//!
//! `cargo run -p tower-bedrock-cloudwatch --features operations --example operations -- cloudformation`, or
//! `grafana`, `prometheus`, `iam`.

use tower_bedrock_cloudwatch::operations::{Operations, Severity};
use tower_bedrock_core::Target;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let operations = Operations::builder("chat")
        .target(Target::parse(
            "us-east-1",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
        )?)
        .target(Target::parse("us-west-2", "amazon.nova-lite-v1:0")?)
        .topic(
            Severity::Critical,
            "arn:aws:sns:us-east-1:123456789012:pager",
        )
        .log_group("/chat/application")
        .build()?;
    let what = std::env::args().nth(1).unwrap_or_default();
    let document = match what.as_str() {
        "cloudformation" => operations.cloudformation(),
        "grafana" => operations.grafana_dashboard(),
        "prometheus" => operations.prometheus_rules(),
        "iam" => operations.iam_policy(),
        _ => return Err("expected cloudformation, grafana, prometheus or iam".into()),
    };
    println!("{document:#}");
    Ok(())
}
