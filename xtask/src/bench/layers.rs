//! What one call through each layer costs, beside the layer's peers, in one run. Each table is written
//! into the README of the crate it is about, between two marks, and all of them into one page.

use std::{fmt::Write as _, fs, process::Stdio};

use anyhow::{Context, Result, ensure};

use super::{instructions, machine};
use crate::{command::cargo, paths};

/// The packages, the benchmark of each, and the features that it needs.
const BENCHMARKS: [(&str, &str, &str); 6] = [
    ("retry", "retry", ""),
    ("breaker", "breaker", ""),
    ("quota", "quota", ""),
    ("fallback", "fallback", ""),
    ("cloudwatch", "metrics", "aws"),
    ("tower-bedrock", "stack", ""),
];

/// Those that are measured beside the layers.
const PEERS: [&str; 10] = [
    "tower",
    "tower-resilience-circuitbreaker",
    "tower-resilience-retry",
    "governor",
    "recloser",
    "failsafe",
    "metrics",
    "metrics_cloudwatch",
    "metrics-exporter-prometheus",
    "tokio",
];

/// What is aimed at, in nanoseconds: the package, the case, and the most that it is to take.
const GOALS: [(&str, &str, u64); 3] = [
    ("quota", "reserve and settle/Sliding", 25),
    ("quota", "two threads/reserve and settle on one key", 50),
    ("tower-bedrock", "the standard stack", 150),
];

const BEGIN: &str = "<!-- cargo xtask bench layers -->\n";
const END: &str = "<!-- end -->\n";

const INTRODUCTION: &str = "\
# What a call costs

What a call through each layer takes that is answered at once by a service which does nothing, beside the layer's peers, in one
run. Where a name says `no service`, the peer is called as a function. What reading the clock takes is among the quota's rows.
Times go by what else the machine does; instructions, counted by valgrind's cachegrind, don't.
";

pub(super) fn run() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    let mut goals = String::from(GOALS_HEAD);
    for (folder, benchmark, features) in BENCHMARKS {
        let manifest = paths::root().join("crates").join(folder).join("Cargo.toml");
        let output = cargo()
            .args(["bench", "--quiet", "--bench", benchmark])
            .arg("--manifest-path")
            .arg(&manifest)
            .args(["--features", features])
            // A second is enough: a call takes nanoseconds.
            .args(["--", "--output-format", "bencher"])
            .args(["--warm-up-time", "0.5", "--measurement-time", "1"])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "the benchmark {benchmark} of {folder} failed"
        );
        let output = String::from_utf8(output.stdout).context("criterion's output")?;
        let count = |case: &str| {
            let manifest = manifest.to_string_lossy();
            instructions::of_a_call(&manifest, benchmark, features, case)
        };
        // Recorders' tables are hashed by chance, so that two runs of them differ by more than their calls.
        let can_be_counted = benchmark != "metrics" && instructions::can_be_counted();
        let table = table(&output, can_be_counted.then_some(count))?;
        println!("{table}");
        for (_, case, goal) in GOALS.iter().filter(|(of, ..)| *of == folder) {
            goals += &goal_row(&output, case, *goal)?;
        }
        write!(page, "\n## {folder}\n\n{table}")?;
        let readme = manifest.with_file_name("README.md");
        let text = fs::read_to_string(&readme)?;
        let text = replace(&text, &table)
            .with_context(|| format!("{} lacks the marks for the table", readme.display()))?;
        fs::write(readme, text)?;
    }
    write!(
        page,
        "\n{goals}\n{WHERE_IT_GOES}\nThe peers: {}.\n",
        machine::versions(&PEERS)?
    )?;
    super::publish("layers", &page)
}

const GOALS_HEAD: &str = "\
## What is aimed at

With no allocation, on a machine where governor's `check_n` takes 10 to 15 ns; on another one, go by the rows of the peers and of
the clock.

| a call | aimed at | measured | |
|---|---:|---:|---|
";

const WHERE_IT_GOES: &str = "\
Where it goes: the clock is read once for a reserve and settle, and three times for a stack, when it is called, when it is polled
and when Bedrock has answered. Every lock is two atomic steps and so is every shared reference that is kept for as long as a call
lasts; on a virtual machine each takes five to ten nanoseconds. A reserve and settle has eight of them; a stack has some thirty,
most of them because Tower has a layer clone the service inside for each call. A stack's future is more than a kilobyte, and is
moved more than once before it stays. The two threads on one key wait for the memory that the other has written.

No cost is to grow faster than log n. Instructions do not: from one key to 10,000 those of a reserve and settle grow by a quarter,
and from one call that waits to 100,000 those of taking over from a call by a third. Times grow little with the calls that wait,
but six-fold from one key to 10,000: missed.

Two threads make fewer calls through the stack than one does: what a call takes in each of them is more than what two take in a
single thread, on a target each, too, while a quota's two keys are hardly in each other's way. In those rows each call begins with
a clone of the one stack, which a single thread's row does without.
";

/// Whether a case is as quick as it is to be.
fn goal_row(output: &str, case: &str, goal: u64) -> Result<String> {
    let measured = output
        .lines()
        .filter_map(measurement)
        .find(|measured| measured.name == case)
        .with_context(|| format!("{case} was not measured"))?;
    let digits: String = measured.time.chars().filter(char::is_ascii_digit).collect();
    let verdict = if digits.parse::<u64>()? <= goal {
        "met"
    } else {
        "missed"
    };
    let time = measured.time;
    Ok(format!("| {case} | {goal} ns | {time} | {verdict} |\n"))
}

/// Without `count`, which valgrind is needed for, the column of instructions stays empty.
fn table(output: &str, count: Option<impl Fn(&str) -> Result<Option<u64>>>) -> Result<String> {
    let mut table =
        String::from("| a call | time | instructions | allocations |\n|---|---:|---:|---:|\n");
    for measured in output.lines().filter_map(measurement) {
        let Measurement {
            name,
            time,
            allocations,
        } = measured;
        let counted = match &count {
            Some(count) => count(name)?,
            None => None,
        };
        let instructions = counted.map(thousands).unwrap_or_default();
        writeln!(
            table,
            "| {name} | {time} | {instructions} | {allocations} |"
        )?;
    }
    writeln!(
        table,
        "\n{}",
        machine::described("cargo xtask bench layers")?
    )?;
    Ok(table)
}

/// A number as criterion writes it.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

/// The text with what stands between the marks replaced.
fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[derive(Debug, PartialEq, Eq)]
struct Measurement<'a> {
    name: &'a str,
    time: &'a str,
    allocations: &'a str,
}

/// `test NAME (N allocations) ... bench:          59 ns/iter (+/- 1)`
fn measurement(line: &str) -> Option<Measurement<'_>> {
    let (name, time) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let (time, _) = time.split_once("/iter")?;
    let counted = name
        .strip_suffix(" allocations)")
        .and_then(|name| name.rsplit_once(" ("));
    let (name, allocations) = counted.unwrap_or((name, ""));
    Some(Measurement {
        name: name.trim(),
        time: time.trim(),
        allocations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_criterions_is_read() {
        let line = "test layer/closed (0 allocations) ... bench:          59 ns/iter (+/- 1)";
        let expected = Measurement {
            name: "layer/closed",
            time: "59 ns",
            allocations: "0",
        };
        assert_eq!(measurement(line), Some(expected));
        let line = "test pure ... bench:       1,200 ns/iter (+/- 1)";
        assert_eq!(
            measurement(line).map(|measured| measured.time),
            Some("1,200 ns")
        );
        assert_eq!(measurement("closed: 0 allocations"), None);
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        let output = "test stack (0 allocations) ... bench:       1,200 ns/iter (+/- 1)\n";
        let row = |goal| goal_row(output, "stack", goal).unwrap();
        assert_eq!(row(1_200), "| stack | 1200 ns | 1,200 ns | met |\n");
        assert_eq!(row(150), "| stack | 150 ns | 1,200 ns | missed |\n");
        assert!(goal_row(output, "another", 1).is_err());
    }

    #[test]
    fn numbers_are_written_as_criterion_writes_them() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(123), "123");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!("before\n{BEGIN}new\n{END}after\n");
        assert_eq!(replace(&text, "new\n"), Some(expected));
        assert_eq!(replace("no marks", "new\n"), None);
    }
}
