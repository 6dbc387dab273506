//! The page.

use super::{Figures, Outcome, Who};
use crate::{
    Report, Table,
    baselines::sdk::Retries,
    plot::{Chart, Line},
    report::verdict,
};

pub(super) fn of(figures: &[Figures], rates: &[f64], seed: u64) -> Report {
    let chart = |title: &str, y: &str, of: fn(&Outcome) -> f64| Chart {
        title: title.into(),
        x: "share of the attempts that fail".into(),
        y: y.into(),
        top: None,
        lines: (figures.iter())
            .map(|figures| {
                let points = rates.iter().copied().zip(figures.outcomes.iter().map(of));
                Line::new(figures.who.name(), points)
            })
            .collect(),
    };
    Report {
        name: "failing-dependency",
        title: "A failing dependency",
        setup: SETUP.into(),
        tables: vec![
            (
                "Calls sent for each that was made / share of those made that were answered".into(),
                table(figures, rates),
            ),
            (
                "The two rates that others published, and the goal".into(),
                published(figures, rates),
            ),
        ],
        findings: findings(figures, rates),
        charts: vec![
            chart(
                "Load on the dependency",
                "calls sent for each that was made",
                |o| o.load,
            ),
            chart("Answers", "share of the calls made", |o| o.success),
        ],
        seed,
    }
}

fn table(figures: &[Figures], rates: &[f64]) -> Table {
    let heads = rates.iter().map(|rate| format!("{rate:.1} fail"));
    let mut table = Table::new(std::iter::once(String::new()).chain(heads));
    for figures in figures {
        let cells = figures
            .outcomes
            .iter()
            .map(|o| format!("{:.2} / {:.3}", o.load, o.success));
        table.row(std::iter::once(figures.who.name().to_owned()).chain(cells));
    }
    table
}

fn published(figures: &[Figures], rates: &[f64]) -> Table {
    let mut table = Table::new([
        "",
        "published, 0.3",
        "here, 0.3",
        "published, 1.0",
        "here, 1.0",
        "goal",
    ]);
    let known = [
        (Who::ThreeRetries, "1.42 / .992", "4.00 / 0"),
        (Who::Sdk(Retries::Standard), "1.39 / .972", "1.00 / 0"),
        (Who::Sdk(Retries::Standard2026), "1.17 / .816", ""),
        (Who::ThreeAttempts, "", ""),
        (Who::FiveAttempts, "", ""),
    ];
    for (who, at_a_third, at_one) in known {
        let at = |rate| outcome(figures, rates, who, rate);
        let here = |rate| {
            at(rate).map_or_else(String::new, |o| format!("{:.3} / {:.3}", o.load, o.success))
        };
        let goal = match (at(0.3), at(1.0)) {
            (Some(third), Some(one)) if who.is_ours() => {
                verdict(third.load <= 1.40 && third.success >= 0.97 && one.load <= 1.01)
            }
            _ => "",
        };
        table.row([who.name(), at_a_third, &here(0.3), at_one, &here(1.0), goal]);
    }
    table.row(["goal", "1.40 / .970", "", "1.01", "", ""]);
    table
}

/// What came of a client at one of the rates.
pub(super) fn outcome(figures: &[Figures], rates: &[f64], who: Who, rate: f64) -> Option<Outcome> {
    let column = rates.iter().position(|other| *other == rate)?;
    let figures = figures.iter().find(|figures| figures.who == who)?;
    figures.outcomes.get(column).copied()
}

fn findings(figures: &[Figures], rates: &[f64]) -> String {
    let at = |who, rate| outcome(figures, rates, who, rate);
    let load = |who, rate| at(who, rate).map_or_else(String::new, |o| format!("{:.2}", o.load));
    let success = |who, rate| {
        at(who, rate).map_or_else(String::new, |o| format!("{:.1}%", 100.0 * o.success))
    };
    let sdk = Who::Sdk(Retries::Standard);
    format!(
        "\
- **Retries that are paid for by what succeeds.** In the retry layer's budget a retry that succeeds costs nothing, and
  each answer earns a part of one that does not. While a third of the attempts fail that is enough for nearly all
  of them: with three attempts {three_load} calls are sent for each that is made and {three} are answered, with the
  default five {five_load} and {five}. When all fail there is next to nothing to spend ({all_load}). Three retries without a
  budget answer as many of the first ({unlimited}), and send {unlimited_all_load} calls for each when the dependency
  is down: just when it can bear it least.
- **Where the baselines win: in between.** When half of the attempts fail, the SDK's standard mode sends {sdk_half_load}
  and answers {sdk_half}, the retry layer {five_half_load} and {five_half}, and three unlimited retries
  {unlimited_half_load} and {unlimited_half}. Every budget is a judgement of how much load a dependency in that state
  should get; ours is for one that is down or nearly well. Another model does more than any retry: see the outage.
- **What the breaker makes of failures that are each for itself.** By default it opens after five failures in a row.
  A failure is quick and an answer is not, so at fifty calls a second those five come by chance: while a fifth of the
  attempts fail, {breaker} of the calls are answered, while a third do, {breaker_third}. Going by the rate of failures
  alone (80% of a hundred) it is {rate} and {rate_third}, and it opens when most attempts fail. Whoever calls that often a dependency that is
  never quite well goes by rate.
",
        three_load = load(Who::ThreeAttempts, 0.3),
        three = success(Who::ThreeAttempts, 0.3),
        five_load = load(Who::FiveAttempts, 0.3),
        five = success(Who::FiveAttempts, 0.3),
        all_load = load(Who::FiveAttempts, 1.0),
        unlimited = success(Who::ThreeRetries, 0.3),
        unlimited_all_load = load(Who::ThreeRetries, 1.0),
        sdk_half_load = load(sdk, 0.5),
        sdk_half = success(sdk, 0.5),
        five_half_load = load(Who::FiveAttempts, 0.5),
        five_half = success(Who::FiveAttempts, 0.5),
        unlimited_half_load = load(Who::ThreeRetries, 0.5),
        unlimited_half = success(Who::ThreeRetries, 0.5),
        breaker = success(Who::WithBreaker, 0.2),
        breaker_third = success(Who::WithBreaker, 0.3),
        rate = success(Who::WithRateBreaker, 0.2),
        rate_third = success(Who::WithRateBreaker, 0.3),
    )
}

const SETUP: &str = "\
Fifty calls a second to a model whose attempts fail with a 503, each for itself and whatever the load, at rates from
none to all. A client may not make that worse. How many calls are sent for each that is made, and how many of those
made are answered? An attempt that succeeds takes 0.2 s and what its answer takes at 2,000 tokens a second; one
that fails fails at once. Counted is from the second minute to the third.

- **three retries, no budget**: this project's retry layer with its limits taken away;
- **AWS SDK**: the SDK for Rust itself, its standard mode as it comes and as announced for 2026 (\"retry behaviour
  2.1\");
- **ours**: the retry layer with three attempts, and with five, as it comes; that and the circuit breaker as it comes;
  that and a breaker that goes by the rate of failures alone.";
