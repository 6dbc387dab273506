//! The instructions of one call, which are the same however busy the machine is: cachegrind counts those of a whole
//! run, so what two runs differ by is what the calls cost that one of them makes more than the other.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::command::cargo;

/// So many that what happens once in sixteen calls counts for as much as it does.
const CALLS: [u64; 2] = [320, 960];

/// Whether they can be counted here.
pub(super) fn can_be_counted() -> bool {
    Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The instructions of one call of a benchmark; `None` of one that cannot be counted, which runs in several threads.
pub(super) fn of_a_call(
    manifest: &str,
    benchmark: &str,
    features: &str,
    case: &str,
) -> Result<Option<u64>> {
    let [few, many] = CALLS;
    let of_a_run = |calls| of_a_run(manifest, benchmark, features, case, calls);
    let more = of_a_run(many)?.saturating_sub(of_a_run(few)?);
    let of_a_call = more / (many - few);
    // Where the benchmark makes no call the two differ by next to nothing.
    Ok((of_a_call > 0).then_some(of_a_call))
}

fn of_a_run(
    manifest: &str,
    benchmark: &str,
    features: &str,
    case: &str,
    calls: u64,
) -> Result<u64> {
    const RUNNER: &str = "target.'cfg(all())'.runner=['valgrind', '--tool=cachegrind', '--cache-sim=no', \
                          '--cachegrind-out-file=/dev/null']";
    let output = cargo()
        .args(["bench", "--quiet", "--config", RUNNER, "--bench", benchmark])
        .args(["--manifest-path", manifest, "--features", features])
        .env("BENCH_COUNT_CASE", case)
        .env("BENCH_COUNT_CALLS", calls.to_string())
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {report}");
    counted(&report).with_context(|| format!("valgrind counted nothing: {report}"))
}

/// `==17==   I   refs:      1,234,567`, or `I refs:` as newer versions have it.
fn counted(report: &str) -> Option<u64> {
    report.lines().find_map(|line| {
        let (before, count) = line.split_once("refs:")?;
        let instructions = before.split_whitespace().last() == Some("I");
        let count = count.trim().replace(',', "");
        count.parse().ok().filter(|_| instructions)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_cachegrinds_is_read() {
        let older = "==17== Cachegrind\n==17== \n==17== I   refs:      1,234,567\n";
        assert_eq!(counted(older), Some(1_234_567));
        assert_eq!(counted("==17== I refs: 89"), Some(89));
        assert_eq!(counted("==17== D refs: 89"), None);
        assert_eq!(counted("==17== nothing"), None);
    }
}
