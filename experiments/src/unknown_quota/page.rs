//! The page.

use super::{Group, Measured, PROCESSES, Plan, Run, WINDOW, Who};
use crate::{
    Report, Table,
    plot::{Chart, Line},
    report::verdict,
    stats::estimate,
};

/// What others measured of AWS's adaptive retry.
const PUBLISHED: [[&str; 4]; 3] = [
    ["published: AWS's adaptive retry", "1", "97.2%", "0.0320"],
    ["published: AWS's adaptive retry", "10", "91.8%", "0.0070"],
    ["published: AWS's adaptive retry", "40", "83.9%", "0.0060"],
];

/// How long it may take to be back, in seconds.
const BACK: f64 = 30.0;

pub(super) fn of(measured: &Measured, seed: u64) -> Report {
    let mut tables: Vec<(String, Table)> = (measured.groups.iter())
        .map(|(bucket, groups)| {
            (
                format!("{} can be saved up", capital(bucket.name())),
                table(groups),
            )
        })
        .collect();
    if let Some((_, of_first)) = tables.first_mut() {
        PUBLISHED
            .into_iter()
            .for_each(|published| of_first.row(published));
    }
    tables.push(("The goals, for ours".into(), goals(measured)));
    Report {
        name: "unknown-quota",
        title: "A quota that nobody was told of",
        setup: SETUP.into(),
        tables,
        findings: findings(measured),
        charts: (measured.groups.iter())
            .map(|(bucket, groups)| chart(bucket.name(), groups, measured.plan))
            .collect(),
        seed,
    }
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

fn table(groups: &[Group]) -> Table {
    let mut table = Table::new([
        "",
        "processes",
        "quota used",
        "429s an answer",
        "back after doubling",
        "back after halving",
    ]);
    for group in groups {
        table.row([
            group.who.name().to_owned(),
            group.processes.to_string(),
            format!("{:.1}%", 100.0 * group.utilisation()),
            format!("{:.4}", group.throttles()),
            slowest(group.back(|run| run.after_doubling)),
            slowest(group.back(|run| run.after_halving)),
        ]);
    }
    table
}

fn goals(measured: &Measured) -> Table {
    let mut table = Table::new([
        "can be saved up, processes",
        "quota used: 98%",
        "429s an answer: 0.006",
        "after doubling: 30 s",
        "after halving: 30 s",
    ]);
    for (bucket, groups) in &measured.groups {
        for group in groups.iter().filter(|group| group.who == Who::Quota) {
            let in_time = |slowest: Option<f64>| slowest.is_some_and(|seconds| seconds <= BACK);
            table.row([
                format!("{}, {}", bucket.name(), group.processes),
                verdict(group.utilisation() >= 0.98).to_owned(),
                verdict(group.throttles() <= 0.006).to_owned(),
                verdict(in_time(group.back(|run| run.after_doubling))).to_owned(),
                verdict(in_time(group.back(|run| run.after_halving))).to_owned(),
            ]);
        }
    }
    table
}

fn chart(worth: &str, groups: &[Group], plan: Plan) -> Chart {
    let of_ten = groups
        .iter()
        .filter(|group| group.processes == PROCESSES[1]);
    let lines = of_ten.map(|group| {
        let windows = group
            .runs
            .first()
            .map(|run| run.rate.as_slice())
            .unwrap_or_default();
        let at = |window: usize| (window as u64 * WINDOW) as f64 / 60.0;
        let points = windows
            .iter()
            .enumerate()
            .map(|(window, rate)| (at(window), *rate));
        Line::new(group.who.name(), points)
    });
    Chart {
        title: format!(
            "Ten processes on 10 a second; 20 from minute {}, 10 from minute {}: {worth} saved up",
            plan.doubles / 60,
            plan.halves / 60,
        ),
        x: "minutes".into(),
        y: "answers a second".into(),
        top: Some(30.0),
        lines: lines.collect(),
    }
}

impl Group {
    pub(super) fn utilisation(&self) -> f64 {
        estimate(self.runs.iter().map(|run| run.utilisation)).mean
    }

    pub(super) fn throttles(&self) -> f64 {
        estimate(self.runs.iter().map(|run| run.throttles_per_success)).mean
    }

    /// The time that the slowest run took; `None` where one was not back at all.
    fn back(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.runs.iter().map(of).collect();
        all.map(|all| all.into_iter().fold(0.0, f64::max))
    }
}

fn slowest(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".into(), |seconds| format!("{seconds:.0} s"))
}

fn findings(measured: &Measured) -> String {
    let row = |who: Who, of: fn(&Group) -> String| {
        let first = measured
            .groups
            .iter()
            .take(1)
            .flat_map(|(_, groups)| groups);
        let groups = first.filter(|group| group.who == who);
        groups.map(of).collect::<Vec<_>>().join(" / ")
    };
    let throttles = |group: &Group| format!("{:.3}", group.throttles());
    let used = |group: &Group| format!("{:.1}%", 100.0 * group.utilisation());
    format!(
        "\
- **Everybody can use up a quota; the difference is what that costs.** In 1 / 10 / 40 processes the quota layer
  earns {ours} 429s an answer and uses {ours_used} of the quota. The SDK's
  adaptive mode earns {adaptive}, and retrying with full jitter and no limit {jitter}. Each of those 429s is a round
  trip for nothing, and an alarm on somebody's dashboard.
- **The SDK's adaptive mode knows one process.** Alone it keeps the rate well. With ten or forty processes each has so
  small a share that its floor of half a request a second, and a cubic growth that does not depend on the share, make
  it overshoot all the time. It was published with far fewer throttles; of that set-up nothing more is known than
  what is written above.
- **Where the baselines win: they take what is new at once.** Who is throttled all the time notices a doubled quota
  within the second, though with more than 5% of its answers bought with a 429 it is never \"back\" by the measure
  of this page. The quota layer grows slowly on purpose, the slower the smaller its share: that is what keeps the
  429s few.
- **Some of the goals cannot be had together.** Each of forty processes makes one call in four seconds. At 0.006 429s
  an answer it meets one in eleven minutes; that it has met none in its last seven calls, which is half a minute,
  says nothing of a quota that has doubled. Who must know sooner has to earn more 429s, or processes have to tell one
  another. So all of the quota with few 429s comes first, and what is new is found later. Where a goal is
  missed, the last table says so.
- **Forty processes earn most of their 429s in the first five minutes,** while each finds a part of a quota that nobody
  knows. Where a minute's worth was saved up they begin the further above it, and it takes more of them. Once the
  parts are found there is one in a minute or two, between all forty.
",
        ours = row(Who::Quota, throttles),
        ours_used = row(Who::Quota, used),
        adaptive = row(Who::Adaptive, throttles),
        jitter = row(Who::FullJitter, throttles),
    )
}

const SETUP: &str = "\
A quota of 10 requests a second, and nobody was told. Forty workers, each of which makes its next call as soon as its
last one is over and would get its answer in a tenth of a second, so that together they could make forty times as many
calls as there is quota. They share one client, or are spread over 10 or 40 processes with a client each, which know
nothing of one another. After 15 minutes the quota doubles, after 20 it is halved again. What is \"a quota of 10 a
second\"? Either a second's worth can be saved up while nobody calls, or a minute's worth, as with a quota by the
minute that refills continuously: both are measured.

Quota used and 429s are those of minutes 2 to 15. A client is back when, for ten seconds, it has used 95% of the quota
or more, with no more 429s than 5% of the quota; of two seeds, the slower.

- **AWS SDK, adaptive**: the SDK for Rust itself, a client for each process;
- **full jitter, no limit**: this project's retry layer without its limits, a thousand attempts and no budget;
- **ours: quota**: retry and quota layers as they come, no limit declared.";
