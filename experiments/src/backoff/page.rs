//! The page.

use super::{BETTER, CLIENTS, CROWDS, Figures, Measured, OTHERS, PUBLISHED, Published};
use crate::{
    Report, Table,
    plot::{Chart, Line, OURS},
    stats::Estimate,
    table::thousands,
};

pub(super) fn of(measured: &Measured, seed: u64) -> Report {
    let chart = |title: &str, y: &str, top, of: fn(&Figures) -> f64| Chart {
        title: title.into(),
        x: "clients contending for one row".into(),
        y: y.into(),
        top,
        lines: (measured.curves.iter())
            .map(|(name, curve)| {
                let crowds = CROWDS.map(|clients| clients as f64).into_iter();
                Line::new(name, crowds.zip(curve.iter().map(of)))
            })
            .collect(),
    };
    Report {
        name: "backoff",
        title: "Backoff under contention",
        setup: SETUP.into(),
        tables: vec![
            (
                "AWS's policies, 100 clients, base 5 ms, cap 2,000 ms".into(),
                reproduction(measured),
            ),
            (
                "Full jitter with other bases and caps: calls / milliseconds".into(),
                others(measured),
            ),
        ],
        findings: findings(measured),
        charts: vec![
            chart("Work", "calls until all have written", Some(4_000.0), |f| {
                f.calls.mean
            }),
            // Without jitter it takes ten times as long, which would leave nothing of the others.
            chart("Time", "ms until all have written", Some(12_000.0), |f| {
                f.milliseconds.mean
            }),
        ],
        seed,
    }
}

/// A base and a cap as the legend has them.
pub(super) fn name((base, cap): (u64, u64)) -> String {
    format!("{OURS}: full jitter, {base} to {cap} ms")
}

fn reproduction(measured: &Measured) -> Table {
    let mut table = Table::new([
        "",
        "published calls",
        "calls here",
        "published ms",
        "ms here",
        "apart, in standard errors",
    ]);
    for (policy, here) in PUBLISHED.iter().zip(&measured.reproduced) {
        table.row([
            policy.name.to_owned(),
            policy.calls.to_string(),
            shown(here.calls, 1),
            policy.milliseconds.map_or_else(String::new, thousands),
            shown(here.milliseconds, 0),
            apart(policy, here)
                .map_or_else(String::new, |(calls, ms)| format!("{calls:.1}, {ms:.1}")),
        ]);
    }
    table
}

/// How far calls and milliseconds are from what was published, in standard errors of both together.
pub(super) fn apart(published: &Published, here: &Figures) -> Option<(f64, f64)> {
    let of = |published: f64, error: f64, here: Estimate| {
        (here.mean - published).abs() / here.standard_error.hypot(error)
    };
    let (calls, milliseconds) = published.errors?;
    Some((
        of(published.calls, calls, here.calls),
        of(published.milliseconds?, milliseconds, here.milliseconds),
    ))
}

fn others(measured: &Measured) -> Table {
    let crowds = CROWDS.map(|clients| format!("{clients} clients"));
    let mut table = Table::new(std::iter::once("base, cap".to_owned()).chain(crowds));
    for ((base, cap), crowds) in OTHERS.iter().zip(&measured.others) {
        let name = format!("{base} ms, {} ms", thousands(*cap as f64));
        let cell =
            |here: &Figures| format!("{:.0} / {:.0}", here.calls.mean, here.milliseconds.mean);
        table.row(std::iter::once(name).chain(crowds.iter().map(cell)));
    }
    table
}

fn shown(estimate: Estimate, digits: usize) -> String {
    format!(
        "{:.digits$} ± {:.2}",
        estimate.mean, estimate.standard_error
    )
}

fn findings(measured: &Measured) -> String {
    let full = PUBLISHED.iter().zip(&measured.reproduced);
    let apart = full
        .filter_map(|(published, here)| apart(published, here))
        .next();
    let (calls_apart, ms_apart) = apart.unwrap_or_default();
    let of = |clients| {
        let policy = OTHERS.iter().position(|other| *other == BETTER)?;
        let crowd = CROWDS.iter().position(|crowd| *crowd == clients)?;
        measured.others.get(policy)?.get(crowd).copied()
    };
    let shown = |clients| {
        of(clients).map_or_else(String::new, |here| {
            format!(
                "{:.0} calls and {} ms",
                here.calls.mean,
                thousands(here.milliseconds.mean)
            )
        })
    };
    format!(
        "\
- **The model is AWS's.** Full jitter, the policy that AWS's figures are most exact for, comes out {calls_apart:.1}
  standard errors from the published calls and {ms_apart:.1} from the published time; the other four agree as well.
- **What AWS measured can be beaten with AWS's own formula.** A base of {base} ms, about the time that eight writes take
  here, and a cap of {cap} ms need {better} for {CLIENTS} clients: fewer calls than any policy of AWS's, and less time
  than all but none, which makes four times the calls. A base of 5 ms is shorter than one round trip: everybody's first retries collide. A cap of 2 s
  leaves the last clients asleep while nobody writes.
- **Where the baseline wins**: few clients, who have nothing to wait for. Ten are done sooner with a base of 5 ms
  (464 ms) than with {base} ({few}), though with more calls. A base should be about the time for which what is in the
  way stays in the way. That is why the retry layer's own default is a second, and not milliseconds: it waits for quotas
  and capacity, not for a row.
- Decorrelated jitter makes more calls than full jitter to be done little sooner, and equal jitter is behind on both;
  full jitter is the retry layer's default.
",
        base = BETTER.0,
        cap = BETTER.1,
        better = shown(CLIENTS),
        few = shown(CROWDS[0]),
    )
}

const SETUP: &str = "\
AWS's published experiment (*Exponential Backoff And Jitter*, 2015, and its simulator): clients that each write one row
once, under optimistic concurrency. A client reads the row's version and writes; the write fails where another's came
between, and the client backs off and begins anew. A message takes 10 ms, give or take 2. Counted are the
writes, the failed ones included, and the time until all have written. The delays are those of this project's retry
layer, `tower_bedrock::retry::Backoff`. 10,000 runs of full jitter, 1,000 of everything else.";
