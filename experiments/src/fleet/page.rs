//! The page.

use super::{Event, Measured, PROCESSES, Run, Spread, Who};
use crate::{
    Report, Table,
    plot::{Chart, Line},
    report::verdict,
};

pub(super) fn of(measured: &Measured, seed: u64) -> Report {
    let spread = |spread| {
        measured
            .steady
            .iter()
            .filter(move |run| run.case.spread == spread)
    };
    let mut tables = vec![
        (
            "All processes have more to do than they may".into(),
            table(spread(Spread::Even)),
        ),
        (
            "Half of the processes have next to nothing to do".into(),
            table(spread(Spread::Half)),
        ),
    ];
    tables.push((
        "Prompts in prose, code and JSON, which a client cannot tell apart".into(),
        table(measured.mixed.iter()),
    ));
    if !measured.events.is_empty() {
        tables.push((
            "Eight processes, and what befalls them in minute 4: the quota used, minute by minute"
                .into(),
            events(&measured.events),
        ));
    }
    if !measured.served.is_empty() {
        tables.push((
            "Over a real redis-server, which counts the round trips itself".into(),
            table(measured.served.iter()),
        ));
    }
    tables.push(("The goals, for ours".into(), goals(measured)));
    Report {
        name: "fleet",
        title: "One quota, many processes",
        setup: SETUP.into(),
        tables,
        findings: findings(measured),
        charts: charts(measured),
        seed,
    }
}

fn percent(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}

fn table<'a>(runs: impl Iterator<Item = &'a Run>) -> Table {
    let mut table = Table::new([
        "",
        "processes",
        "level",
        "quota used",
        "429s",
        "429s an answer",
        "round trips a call",
    ]);
    for run in runs {
        table.row([
            run.case.name().to_owned(),
            run.case.processes.to_string(),
            percent(run.level),
            percent(run.utilisation),
            run.throttles.to_string(),
            format!("{:.4}", run.throttles_per_answer),
            trips(run),
        ]);
    }
    table
}

fn trips(run: &Run) -> String {
    run.round_trips_per_call
        .map_or_else(String::new, |trips| format!("{trips:.4}"))
}

fn events(runs: &[Run]) -> Table {
    let mut table = Table::new([
        "in minute 4",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "10",
        "11",
        "429s",
    ]);
    for run in runs {
        let minutes = run.minutes.iter().skip(3).map(|used| percent(*used));
        let cells = [run.case.event.name().to_owned()]
            .into_iter()
            .chain(minutes)
            .chain([run.throttles.to_string()]);
        table.row(cells.collect::<Vec<_>>());
    }
    table
}

fn goals(measured: &Measured) -> Table {
    let mut table = Table::new([
        "work",
        "processes",
        "level: 98%",
        "98% of one process's level",
        "beyond the limit: nothing",
        "round trips a call: 0.02",
    ]);
    let one = alone(measured).map_or(1.0, |run| run.level);
    let ours = (measured.steady.iter()).filter(|run| run.case.who == Who::Fleet);
    for run in ours {
        let trips = run.round_trips_per_call.unwrap_or(f64::INFINITY);
        table.row([
            run.case.spread.name().to_owned(),
            run.case.processes.to_string(),
            verdict(run.level >= 0.98).to_owned(),
            verdict(run.level >= 0.98 * one).to_owned(),
            verdict(run.throttles == 0).to_owned(),
            verdict(trips <= 0.02).to_owned(),
        ]);
    }
    table
}

/// What one process does that shares with nobody.
fn alone(measured: &Measured) -> Option<&Run> {
    measured.steady.iter().find(|run| run.case.processes == 1)
}

fn charts(measured: &Measured) -> Vec<Chart> {
    let line = |name: &str, run: &Run| {
        let points = run.minutes.iter().enumerate();
        Line::new(
            name,
            points.map(|(minute, used)| (minute as f64, 100.0 * used)),
        )
    };
    let chart = |title: &str, lines: Vec<Line>| Chart {
        title: title.into(),
        x: "minutes".into(),
        y: "quota used, in %".into(),
        top: Some(120.0),
        lines,
    };
    let half = (measured.steady.iter())
        .filter(|run| run.case.spread == Spread::Half && run.case.processes == PROCESSES[2]);
    let mut charts = vec![chart(
        "Eight processes, of which four have next to nothing to do",
        half.map(|run| line(run.case.who.name(), run)).collect(),
    )];
    if !measured.events.is_empty() {
        charts.push(chart(
            "Eight processes, and what befalls them in minute 4",
            (measured.events.iter())
                .map(|run| line(run.case.event.name(), run))
                .collect(),
        ));
    }
    charts
}

fn findings(measured: &Measured) -> String {
    let row = |who: Who, spread: Spread, of: &dyn Fn(&Run) -> String| {
        let several = measured.steady.iter().filter(|run| run.case.processes > 1);
        let runs = several.filter(|run| run.case.who == who && run.case.spread == spread);
        runs.map(of).collect::<Vec<_>>().join(" / ")
    };
    let one = |of: &dyn Fn(&Run) -> String| alone(measured).map(of).unwrap_or_default();
    let used = |run: &Run| percent(run.utilisation);
    let level = |run: &Run| percent(run.level);
    let throttles = |run: &Run| format!("{:.3}", run.throttles_per_answer);
    format!(
        "\
- **A fleet uses the quota wherever the work is.** With 2 / 4 / 8 / 16 processes the level is {even_level} where all
  are busy, and {half_level} where half of them are. One process that has the whole limit reaches {one_level}: what
  sharing costs is the difference to that. What one process leaves is the quarter of a second that calls may be on their
  way longer than others (`delay_variation`, 0.4%), and what waits to leave the window with the last of the half second
  that it came in (0.4%). Where half of the processes have next to nothing to do, each of those holds something for
  what it may need next. Calls cost {even} and {half} of the quota in the end, and {one} where one
  process has it: what is reserved for calls under way and not needed is nobody's until they end. With a fixed part each
  they cost {fixed_even} and {fixed_half}: what an idle process has, nobody else gets.
- **Not to know what prompts weigh costs more than to share.** Of prose, code and JSON mixed, only whose sizes are
  known, one process reaches {one_mixed}, and a fleet {mixed}: a prompt is reckoned with as if it were of the densest
  kind until its call has ended, and the five hundred calls or so that are under way at a time hold what they do not
  weigh. The estimate is to be too low for one call in a hundred at the most (`estimate_quantile`), for what is
  estimated too low can go beyond the limit. Where prompts of several kinds go to one model, an estimate of one's own
  that tells them apart uses what this one leaves.
- **Without a store the quota is found by throttles.** Processes that each know the whole limit and learn from 429s use
  {alone} of it, and pay {alone_throttles} 429s an answer for that.
- **A fleet asks the store about once for a hundred calls of each process.** The fewer calls a process makes, the dearer
  that is: a lease is renewed every 20 s at the least. The worker's interval, not the calls, is what the store sees.
- **A store or a link that fails costs nothing where all have the same to do**: the minutes are those in which nothing
  happens (they sink and rise as calls that came together leave the window together), because each goes on with the
  share it has, or with its safe share, which is as much. Who needs more than that waits for the store. **A process
  that is killed costs its share for two minutes**, until its lease has run out and a window has passed: what it may
  have used up to its end counts as used. So that goal, to lose nothing, is met by the links and the store and missed by a
  kill: to give its share away sooner would go beyond the limit if it were only slow.
- **Where a fixed part wins: it needs no store**, nothing happens to it when one fails, and where all processes always
  have as much to do it uses as much.
- **What is not shown here: calls that cost more than they reserve.** Where an output token counts five times and
  `max_tokens` is small, a process works off what its own calls have overshot; others learn of that with their next
  renewal, and until then fill their shares. Reserve enough, or reckon with a few 429s after a burst.
- Where a goal is missed, the last table says so.
",
        one_mixed = measured.mixed.first().map(level).unwrap_or_default(),
        mixed = (measured.mixed.iter().skip(1))
            .map(level)
            .collect::<Vec<_>>()
            .join(" / "),
        even_level = row(Who::Fleet, Spread::Even, &level),
        half_level = row(Who::Fleet, Spread::Half, &level),
        one_level = one(&level),
        one = one(&used),
        even = row(Who::Fleet, Spread::Even, &used),
        half = row(Who::Fleet, Spread::Half, &used),
        fixed_even = row(Who::Even, Spread::Even, &used),
        fixed_half = row(Who::Even, Spread::Half, &used),
        alone = row(Who::Alone, Spread::Even, &used),
        alone_throttles = row(Who::Alone, Spread::Even, &throttles),
    )
}

impl Spread {
    const fn name(self) -> &'static str {
        match self {
            Self::Even => "for all",
            Self::Half => "for half of them",
        }
    }
}

impl Event {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Killed => "a process is killed",
            Self::Cut => "a link is cut for a minute",
            Self::Down => "the store is down for five minutes",
            Self::Flushed => "the store forgets everything",
        }
    }
}

const SETUP: &str = "\
A quota of six million tokens a minute, which the service counts over any 60 seconds, and 2 to 16 processes of one
account. Twelve hundred workers, each of which makes its next call as soon as its last one is over, could use more
than it. They are spread evenly over all processes, or over half of them, while the others have four workers
each. Prompts have 200 to 2,000 tokens, and are prose, so that their sizes tell how many; of 1,000 that may come out, 50
to 600 do, and count once, so that no call costs more than was reserved for it.

Each process has a stack and a clock of its own, which began up to 5 s after the first's. The level is what the service
counts as used in the last 60 seconds, on average from minute 3 on: what calls have cost that have ended, and what is
reserved for those under way. It is what the service admits calls by. Quota used is what calls cost in the end, by when
they came. A 429 is what was asked for beyond the limit.

- **ours: a fleet**: retry and quota layers, the quota shared through a store, every setting as it comes;
- **limit / N each**: the same layers, and the limit divided by the number of processes;
- **each learns by itself**: the same layers, each process told of the whole limit, which it lowers when it is
  throttled.";
