//! The page.

use bedrock_sim::FaultName;

use super::{Figures, Who, streams::Row};
use crate::{
    Report, Table,
    baselines::sdk::Retries,
    plot::{Chart, Line},
    stats::ratio,
};

/// A kind of fault and what each client comes to under it.
type Kind = (FaultName, Vec<Figures>);

pub(super) fn of(kinds: &[Kind], streams: &[Row], seed: u64) -> Report {
    let drawn = [
        (FaultName::Unavailable, "503s from minute 5 to minute 10"),
        (
            FaultName::ThrottleTokens,
            "Throttles from minute 5 to minute 10",
        ),
    ];
    let charts = drawn.into_iter().filter_map(|(drawn, title)| {
        let (_, figures) = kinds.iter().find(|(kind, _)| *kind == drawn)?;
        Some(chart(title, figures))
    });
    Report {
        name: "outage",
        title: "Outage and recovery",
        setup: SETUP.into(),
        tables: vec![
            ("Over all kinds of fault".into(), summary(kinds)),
            (
                "Calls sent into the outage for each that was made while it lasted".into(),
                by_kind(kinds, |f| format!("{:.2}", f.sent_per_call)),
            ),
            (
                "Share of the calls made while it lasted that were answered in time".into(),
                by_kind(kinds, |f| format!("{:.2}", f.answered_within)),
            ),
            (
                "Seconds from its end until 95% are answered again (the mean of the runs; \"never\" where one did not recover)".into(),
                by_kind(kinds, Figures::recovery_text),
            ),
            (
                "Collapsed runs".into(),
                by_kind(kinds, |f| f.collapsed.to_string()),
            ),
            (
                "Where the fault strikes in the stream: share of the calls that were answered whole in time".into(),
                in_streams(streams),
            ),
        ],
        findings: findings(kinds, streams),
        charts: charts.collect(),
        seed,
    }
}

fn by_kind(kinds: &[Kind], cell: impl Fn(&Figures) -> String) -> Table {
    let names = Who::ALL.iter().map(|who| who.name());
    let mut table = Table::new(std::iter::once("").chain(names));
    for (kind, figures) in kinds {
        table.row(std::iter::once(kind_name(*kind)).chain(figures.iter().map(&cell)));
    }
    table
}

fn in_streams(streams: &[Row]) -> Table {
    let mut table = Table::new([
        "",
        "before any content: no policy",
        "before any content: ours",
        "after three deltas: no policy",
        "after three deltas: ours",
    ]);
    for (kind, figures) in streams {
        let shares = figures.iter();
        let shares = shares.map(|figures| format!("{:.2}", figures.answered_within));
        table.row(std::iter::once(kind_name(*kind)).chain(shares));
    }
    table
}

/// The mean over kinds of what is answered in a column.
fn answered_in_streams(streams: &[Row], column: usize) -> f64 {
    let answered = streams
        .iter()
        .filter_map(|(_, figures)| Some(figures.get(column)?.answered_within));
    ratio(answered.sum(), streams.len() as f64)
}

/// What one client comes to over all kinds of fault.
struct Overall {
    sent_per_call: f64,
    answered_within: f64,
    mean_recovery: f64,
    longest_recovery: f64,
    collapsed: usize,
    runs: usize,
}

fn overall(kinds: &[Kind], who: Who) -> Overall {
    let column = Who::ALL.iter().position(|other| *other == who);
    let all: Vec<&Figures> = (kinds.iter())
        .filter_map(|(_, figures)| figures.get(column?))
        .collect();
    let mean = |of: &dyn Fn(&Figures) -> f64| {
        ratio(
            all.iter().map(|figures| of(figures)).sum(),
            all.len() as f64,
        )
    };
    let recoveries = || all.iter().flat_map(|figures| &figures.recoveries);
    let recovered: Vec<f64> = recoveries().copied().flatten().collect();
    Overall {
        sent_per_call: mean(&|figures| figures.sent_per_call),
        answered_within: mean(&|figures| figures.answered_within),
        mean_recovery: ratio(recovered.iter().sum(), recovered.len() as f64),
        longest_recovery: recovered.iter().copied().fold(0.0, f64::max),
        collapsed: all.iter().map(|figures| figures.collapsed).sum(),
        runs: recoveries().count(),
    }
}

fn summary(kinds: &[Kind]) -> Table {
    let mut table = Table::new([
        "",
        "sent for each call made",
        "answered while it lasts",
        "mean recovery",
        "longest recovery",
        "collapsed runs",
    ]);
    for who in Who::ALL {
        let overall = overall(kinds, who);
        table.row([
            who.name().to_owned(),
            format!("{:.2}", overall.sent_per_call),
            format!("{:.1}%", 100.0 * overall.answered_within),
            format!("{:.0} s", overall.mean_recovery),
            format!("{:.0} s", overall.longest_recovery),
            format!("{} of {}", overall.collapsed, overall.runs),
        ]);
    }
    table
}

fn chart(title: &str, figures: &[Figures]) -> Chart {
    let drawn = Who::ALL
        .iter()
        .zip(figures)
        .filter(|(who, _)| who.is_drawn());
    let lines = drawn.map(|(who, figures)| {
        let points = figures.goodput.iter();
        Line::new(
            who.name(),
            points.map(|(second, share)| (second / 60.0, 100.0 * share)),
        )
    });
    Chart {
        title: title.into(),
        x: "minutes".into(),
        y: "answered within 60 s, % of the calls that came in the next 30 s".into(),
        top: None,
        lines: lines.collect(),
    }
}

/// As the simulator's control interface spells it.
fn kind_name(kind: FaultName) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name.replace("html503", "html_503")
        .replace("overloaded529", "overloaded_529")
}

fn findings(kinds: &[Kind], streams: &[Row]) -> String {
    let of = |who| overall(kinds, who);
    let sent = |who| format!("{:.2}", of(who).sent_per_call);
    let answered = |who| format!("{:.0}%", 100.0 * of(who).answered_within);
    let recovery = |who| format!("{:.0} s", of(who).mean_recovery);
    let collapsed = |who| {
        let overall = of(who);
        format!("{} of {}", overall.collapsed, overall.runs)
    };
    let adaptive = Who::Sdk(Retries::Adaptive);
    format!(
        "\
- **An outage of one model need not be one of the application.** With the whole stack {fallback} of the calls made
  while it lasts are answered, by the other model; the breaker, or the quota layer where the fault is a throttle, sends them there
  without a try on the first one. Clients with one model answer next to none, whatever they do. The one fault that
  does not fall through is a used-up day: tokens a day are the Region's, for all models together, so there is no use in
  asking another.
- **The breaker takes the load off.** As it comes it sends {breaker} calls for each that is made, probes included, and
  tuned as above {tuned}. The five-attempt loop sends {naive}, the SDK's standard mode {standard}, the retry layer
  alone {retry}: its budget runs dry in seconds, so that it adds no more than a fifth.
- **Where the baselines win: the way back.** Who never stopped calling notices at once that the outage is over; an open
  breaker has to find out. As it comes, with a minute between probes, that takes {breaker_back} on average; tuned,
  with ten seconds, {tuned_back}. Nobody notices where there is a fallback ({fallback_back}).
- **Collapse.** A client has collapsed that in the last three minutes, long after the outage, still answers less than
  95%. The SDK's adaptive mode does so in {adaptive_collapsed} runs: throttles have talked its rate down, and it has
  to climb from there. With the quota layer, which learns from throttles too, it is {quota_collapsed}; with the whole
  stack, which has somewhere else to go, {fallback_collapsed}. With the breaker layer alone it is {breaker_collapsed}:
  throttles count for it, and at 80% of the quota calls still come in clusters. Tuned to leave throttles to a quota
  layer it is {tuned_collapsed}; where throttles are the fault, it is then as if there were no breaker. The stack as it
  comes, in which the breaker leaves them to a quota that has to be learnt, sends {as_it_comes} calls for each that is made and
  has collapsed in {as_it_comes_collapsed}: what five minutes of throttles teach is less than there is, and calls wait for
  longer than their callers do. Tell it the quota where these figures matter.
- **Streams.** A fault in an answer that has begun and has no content yet is one like any other: {at_first:.0}% are answered,
  by the other model. After three deltas somebody has read them, so the call fails, with an error and never with an
  end that looks whole; {after_some:.0}% of the calls are answered, as the breaker counts such a fault and sends the next ones to
  the other model. Tuned as above it leaves throttles to the quota layer, which learns from them and goes on calling. A
  stall is for the leaf to notice: `BedrockService` and the gateway do, the simulator's own does not.
- **Slow answers are a question of judgement.** When answers take ten times as long a third of them would still be in
  time. With 30 seconds for an attempt most of those are given up, and so are the hanging ones, early
  enough for another model. Who has no other model and would rather wait sets a longer attempt timeout.
",
        at_first = 100.0 * answered_in_streams(streams, 1),
        after_some = 100.0 * answered_in_streams(streams, 3),
        as_it_comes = sent(Who::AsItComes),
        as_it_comes_collapsed = collapsed(Who::AsItComes),
        fallback = answered(Who::Fallback),
        fallback_back = recovery(Who::Fallback),
        fallback_collapsed = collapsed(Who::Fallback),
        breaker = sent(Who::Breaker),
        breaker_back = recovery(Who::Breaker),
        breaker_collapsed = collapsed(Who::Breaker),
        tuned = sent(Who::TunedBreaker),
        tuned_back = recovery(Who::TunedBreaker),
        tuned_collapsed = collapsed(Who::TunedBreaker),
        quota_collapsed = collapsed(Who::Quota),
        naive = sent(Who::Naive),
        standard = sent(Who::Sdk(Retries::Standard)),
        retry = sent(Who::Retry),
        adaptive_collapsed = collapsed(adaptive),
    )
}

const SETUP: &str = "\
Twenty minutes of steady load at 80% of a quota of 300,000 tokens a minute. From the fifth minute to the tenth every
call to the model fails, in one of fifteen ways, the simulator's; then everything is as it was. An answer takes 13
seconds at most (under `slow`, ten times as long), and whoever has none after 60 seconds goes away. A second model with
the same quota stays well. Five seeds for each kind of fault and each client:

- **five-attempt loop**: the loop of AWS's own teaching sample for Bedrock; **AWS SDK**: the SDK for Rust itself, its
  retries as they come;
- **ours**: the layers as they come, one more in each column, with 30 seconds for an attempt: retry; circuit breaker;
  the breaker tuned for quick recovery, which probes every ten seconds, three calls at a time, and leaves
  throttles to the quota layer; that and the quota layer; that and a fallback to the second model. *As it comes* is
  `StandardStack::new()`: retry, breaker, and a quota layer that is told nothing, two minutes for an attempt.

Those are whole answers. The last table is of streams, in which the fault strikes with the first event or after
three deltas, called by a client without any policy and by the whole stack.";
