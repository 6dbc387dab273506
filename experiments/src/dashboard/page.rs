//! The page.

use tokio::time::Duration;

use super::{Flush, PERIOD, Plan};
use crate::{
    Report, Table,
    plot::{Chart, Line},
    stats::ratio,
    world::{FALLBACK, PRIMARY},
};

const SETUP: &str = "\
What an operator sees of an outage. Bedrock answers every call to one model with a 503 from minute 5 to minute 10; the
standard stack, with its default settings, knows the quotas and another model to fall back to. Drawn is what its metrics
layers sent to CloudWatch meanwhile, every 15 seconds, as on the dashboards that `Operations` makes for CloudWatch and
Grafana.";

impl Plan {
    /// Whether the outage lasted through a period that ended then.
    pub(super) fn lasts(self, at: Duration) -> bool {
        at > Duration::from_secs(self.from) && at <= Duration::from_secs(self.until)
    }
}

pub(super) fn of(flushes: &[Flush], plan: Plan, seed: u64) -> Report {
    Report {
        name: "dashboard",
        title: "An outage as the dashboard shows it",
        setup: SETUP.into(),
        tables: vec![("Sums".into(), sums(flushes, plan))],
        findings: findings(flushes, plan),
        charts: charts(flushes),
        seed,
    }
}

fn sums(flushes: &[Flush], plan: Plan) -> Table {
    let mut table = Table::new(["", "before", "while it lasts", "after"]);
    let from = Duration::from_secs(plan.from);
    let rows = [
        ("`Requests`", "Requests", PRIMARY),
        ("`RequestErrors`", "RequestErrors", PRIMARY),
        (
            "`FallbackModelInvocations`",
            "FallbackModelInvocations",
            PRIMARY,
        ),
        (
            "`InvocationServerErrors`, of the model asked for",
            "InvocationServerErrors",
            PRIMARY,
        ),
        (
            "`InvocationThrottles`, of the model asked for",
            "InvocationThrottles",
            PRIMARY,
        ),
        (
            "`Invocations`, of the model asked for",
            "Invocations",
            PRIMARY,
        ),
        ("`Invocations`, of the other", "Invocations", FALLBACK),
        ("`Retries`", "Retries", PRIMARY),
    ];
    for (name, metric, model) in rows {
        let sum = |when: &dyn Fn(Duration) -> bool| {
            let flushes = flushes.iter().filter(|flush| when(flush.at));
            format!("{:.0}", sum_of(flushes, metric, model))
        };
        table.row([
            name.to_owned(),
            sum(&|at| at <= from),
            sum(&|at| plan.lasts(at)),
            sum(&|at| at > from && !plan.lasts(at)),
        ]);
    }
    table
}

/// Over several flushes. Of none it is zero, which `f64`'s own sum has a sign for.
fn sum_of<'a>(flushes: impl Iterator<Item = &'a Flush>, metric: &str, model: &str) -> f64 {
    flushes.fold(0.0, |sum, flush| sum + flush.sum(metric, model))
}

fn charts(flushes: &[Flush]) -> Vec<Chart> {
    let minute = |flush: &Flush| flush.at.as_secs_f64() / 60.0;
    let line = |name: &str, value: &dyn Fn(&Flush) -> Option<f64>| {
        let points = flushes
            .iter()
            .filter_map(|flush| Some((minute(flush), value(flush)?)));
        Line::new(name, points)
    };
    let per_minute = |metric, model| {
        let periods = 60.0 / PERIOD.as_secs_f64();
        move |flush: &Flush| Some(periods * flush.sum(metric, model))
    };
    let share = |metric| {
        move |flush: &Flush| {
            let requests = flush.sum("Requests", PRIMARY);
            (requests > 0.0).then(|| 100.0 * ratio(flush.sum(metric, PRIMARY), requests))
        }
    };
    let chart = |title: &str, y: &str, lines: Vec<Line>| Chart {
        title: title.into(),
        x: "minutes".into(),
        y: y.into(),
        top: None,
        lines,
    };
    let base = |profile: &'static str| profile.trim_start_matches("us.");
    vec![
        chart(
            "503: unavailable (a service problem)",
            "attempts a minute",
            vec![
                line(
                    "503s of the model asked for",
                    &per_minute("InvocationServerErrors", PRIMARY),
                ),
                line(
                    "answers of the model asked for",
                    &per_minute("Invocations", PRIMARY),
                ),
                line("answers of the other", &per_minute("Invocations", FALLBACK)),
            ],
        ),
        chart(
            "Circuit breakers: 0 closed, 1 probing, 2 open",
            "state",
            vec![line("of the model asked for", &|flush| {
                flush.gauge("CircuitBreakerState", PRIMARY)
            })],
        ),
        chart(
            "Degraded but functional: served by a fallback; requests that failed",
            "% of requests",
            vec![
                line("failed", &share("RequestErrors")),
                line("served by a fallback", &share("FallbackModelInvocations")),
            ],
        ),
        chart(
            "Quota used, % of each limit",
            "% of the tokens a minute",
            vec![
                line("the model asked for", &|flush| {
                    flush.quota_used(base(PRIMARY))
                }),
                line("the other", &|flush| flush.quota_used(base(FALLBACK))),
            ],
        ),
        chart(
            "Latency of requests",
            "ms",
            vec![
                line("p50", &|flush| {
                    flush.quantile("RequestLatency", PRIMARY, 0.5)
                }),
                line("p99", &|flush| {
                    flush.quantile("RequestLatency", PRIMARY, 0.99)
                }),
            ],
        ),
    ]
}

fn findings(flushes: &[Flush], plan: Plan) -> String {
    let sum = |metric, model| {
        let during = flushes.iter().filter(|flush| plan.lasts(flush.at));
        sum_of(during, metric, model)
    };
    let requests = sum("Requests", PRIMARY);
    let percent = |part| 100.0 * ratio(part, requests);
    format!(
        "- It is a service problem: 503s, and not one 429. The quota of the model asked for empties while the other's \
         fills.\n\
         - It is degraded but functional: while it lasts, the other model serves {:.0}% of the requests, and {:.1}% \
         fail.\n\
         - The circuit breaker takes the load off: {:.2} attempts a request meet a 503. Those after the first \
         minute are its probes.\n",
        percent(sum("FallbackModelInvocations", PRIMARY)),
        percent(sum("RequestErrors", PRIMARY)),
        ratio(sum("InvocationServerErrors", PRIMARY), requests),
    )
}
