//! What one call through each layer costs, beside the layer's peers, in one run.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::command::cargo;

const LAYERS: [&str; 4] = ["retry", "breaker", "quota", "fallback"];

pub(super) fn run() -> Result<()> {
    println!("| benchmark | time of a call |");
    println!("|---|---:|");
    for layer in LAYERS {
        let package = format!("--package=tower-bedrock-{layer}");
        let output = cargo()
            .args(["bench", "--quiet", &package, "--bench", layer, "--"])
            // A second is enough: a call takes nanoseconds.
            .args([
                "--output-format",
                "bencher",
                "--warm-up-time",
                "0.5",
                "--measurement-time",
                "1",
            ])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "the benchmark of {layer} failed");
        let output = String::from_utf8(output.stdout).context("criterion's output")?;
        for (name, time) in output.lines().filter_map(measurement) {
            println!("| {name} | {time} |");
        }
    }
    Ok(())
}

/// `test NAME ... bench:          59 ns/iter (+/- 1)`
fn measurement(line: &str) -> Option<(&str, &str)> {
    let (name, time) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let (time, _) = time.split_once("/iter")?;
    Some((name.trim(), time.trim()))
}

#[cfg(test)]
mod tests {
    use super::measurement;

    #[test]
    fn a_line_of_criterions_is_read() {
        let line = "test layer/closed (0 allocations) ... bench:          59 ns/iter (+/- 1)";
        assert_eq!(
            measurement(line),
            Some(("layer/closed (0 allocations)", "59 ns"))
        );
        assert_eq!(measurement("closed: 0 allocations"), None);
    }
}
