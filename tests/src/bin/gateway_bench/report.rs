//! The measurements as Markdown, with what they were taken on.

use std::{fs, process::Command, thread};

use tokio::time::Duration;

use crate::load::{Operation, Sample};

/// What one row of the table says.
#[derive(Debug)]
pub(crate) struct Row {
    way: &'static str,
    rate: f64,
    p50: Duration,
    p99: Duration,
    cpu: Option<Duration>,
}

/// Says on what machine and with which versions, and opens the table.
pub(crate) fn print_heading() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\n{}, {cores} cores; {}; {}; tower-bedrock {}, release build.\n\
         The load, the simulator and the proxies share the cores. A latency is from sending a request to the \
         last byte of its answer; what is added is added to going straight to the simulator.\n",
        processor(),
        says("uname", "-sr"),
        says("rustc", "--version"),
        env!("CARGO_PKG_VERSION"),
    );
    println!(
        "| operation | connections | way | requests/s | of bare proxy | p50 | p99 | added p50 | added p99 | CPU/request |\n\
         |---|---:|---|---:|---:|---:|---:|---:|---:|---:|"
    );
}

/// Prints the rows of one operation at one number of connections: the first goes straight to the simulator, the second
/// is the limit.
pub(crate) fn print(operation: Operation, connections: usize, rows: &[Row]) {
    let [direct, bare, ..] = rows else { return };
    for row in rows {
        let added = |own: Duration, base: Duration| {
            (row.way != direct.way).then_some((own.as_secs_f64() - base.as_secs_f64()) * 1e6)
        };
        println!(
            "| {} | {} | {} | {:.0} | {:.2} | {} µs | {} µs | {} | {} | {} |",
            operation,
            connections,
            row.way,
            row.rate,
            row.rate / bare.rate,
            row.p50.as_micros(),
            row.p99.as_micros(),
            microseconds(added(row.p50, direct.p50)),
            microseconds(added(row.p99, direct.p99)),
            microseconds(row.cpu.map(|cpu| cpu.as_secs_f64() * 1e6)),
        );
    }
}

impl Row {
    pub(crate) fn new(way: &'static str, mut sample: Sample) -> Self {
        sample.latencies.sort_unstable();
        let requests = sample.latencies.len();
        let quantile = |q: f64| {
            let rank = (q * requests as f64) as usize;
            let last = requests.saturating_sub(1);
            sample.latencies.get(rank.min(last)).copied()
        };
        Self {
            way,
            rate: requests as f64 / sample.time.as_secs_f64(),
            p50: quantile(0.50).unwrap_or_default(),
            p99: quantile(0.99).unwrap_or_default(),
            cpu: sample.cpu.map(|cpu| cpu.div_f64(requests.max(1) as f64)),
        }
    }
}

fn microseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} µs"))
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("an unnamed processor", |(_, name)| name)
        .to_owned()
}

fn says(program: &str, arg: &str) -> String {
    let output = Command::new(program).arg(arg).output();
    output.map_or_else(
        |_| format!("{program} not known"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
