//! The page.

use super::{Figures, Who, measure::Rush};
use crate::{
    Report, Table,
    baselines::sdk::Retries,
    plot::{Chart, Line},
    table::thousands,
};

pub(super) fn of(figures: &[(Who, Figures)], seed: u64) -> Report {
    Report {
        name: "monday",
        title: "Monday, nine o'clock",
        setup: SETUP.into(),
        tables: vec![
            (
                "The rush: calls that came while ten times the quota was asked for".into(),
                rush_table(figures),
            ),
            (
                "The whole morning, calm before and after included".into(),
                morning_table(figures),
            ),
        ],
        findings: findings(figures),
        charts: vec![
            chart(figures, "Answered within 60 s", "calls a minute", |f| {
                &f.answers_by_minute
            }),
            chart(figures, "Throttled", "429s a minute", |f| {
                &f.throttled_by_minute
            }),
        ],
        seed,
    }
}

fn rush_table(figures: &[(Who, Figures)]) -> Table {
    let mut table = Table::new([
        "",
        "answered in 60 s",
        "of the costliest fifth",
        "429s an answer",
        "calls sent in vain",
        "quota used",
        "the fallback's",
        "charged for nothing",
        "p50 wait",
        "p99 wait",
    ]);
    for (who, figures) in figures {
        let rush = &figures.rush;
        table.row([
            who.name().to_owned(),
            format!("{:.1}%", 100.0 * rush.answered.mean),
            format!("{:.1}%", 100.0 * rush.costliest_answered),
            format!("{:.2}", rush.throttles_per_answer),
            format!("{:.1}%", 100.0 * rush.sent_in_vain),
            format!("{:.1}%", 100.0 * rush.quota_used),
            format!("{:.1}%", 100.0 * rush.fallback_used),
            format!("{:.1}%", 100.0 * rush.wasted),
            format!("{:.1} s", rush.p50),
            format!("{:.1} s", rush.p99),
        ]);
    }
    table
}

fn morning_table(figures: &[(Who, Figures)]) -> Table {
    let mut table = Table::new([
        "",
        "calls made",
        "answered in 60 s",
        "calls sent",
        "429s",
        "abandoned by their client",
    ]);
    for (who, figures) in figures {
        let whole = &figures.whole;
        table.row([
            who.name().to_owned(),
            thousands(whole.made),
            format!(
                "{} ± {}",
                thousands(whole.answers.mean),
                thousands(whole.answers.standard_error)
            ),
            thousands(whole.sent),
            thousands(whole.throttles),
            thousands(whole.abandoned),
        ]);
    }
    table
}

fn chart(figures: &[(Who, Figures)], title: &str, y: &str, of: fn(&Figures) -> &Vec<f64>) -> Chart {
    let drawn = figures.iter().filter(|(who, _)| Who::DRAWN.contains(who));
    let lines = drawn.map(|(who, figures)| {
        let points = of(figures).iter().enumerate();
        Line::new(
            who.name(),
            points.map(|(minute, value)| (minute as f64 + 0.5, *value)),
        )
    });
    Chart {
        title: title.into(),
        x: "minutes; from 10 to 20, ten times the quota is asked for".into(),
        y: y.into(),
        top: None,
        lines: lines.collect(),
    }
}

fn findings(figures: &[(Who, Figures)]) -> String {
    let rush = |who: Who| {
        let figures = figures.iter().find(|(other, _)| *other == who);
        figures.map(|(_, figures)| &figures.rush)
    };
    let percent = |who, of: fn(&Rush) -> f64| {
        rush(who).map_or_else(String::new, |rush| format!("{:.1}%", 100.0 * of(rush)))
    };
    let number = |who, of: fn(&Rush) -> f64| {
        rush(who).map_or_else(String::new, |rush| format!("{:.2}", of(rush)))
    };
    let answered = |who| percent(who, |rush| rush.answered.mean);
    let costliest = |who| percent(who, |rush| rush.costliest_answered);
    let throttles = |who| number(who, |rush| rush.throttles_per_answer);
    let median = |who| rush(who).map_or_else(String::new, |rush| format!("{:.0} s", rush.p50));

    format!(
        "\
- **The quota is enough for a tenth of what is asked**, and most clients use nearly all of it. What differs is
  what it costs to get there, who is served, and how long they wait.
- **The quota layer does it without throttles.** The five-attempt loop earns {naive_throttles} 429s for each answer,
  the AWS SDK's standard mode {standard_throttles}, its adaptive mode {adaptive_throttles}; with the quota layer and a
  short queue it is {quota_throttles}, and {quota_vain} of the calls are sent in vain ({naive_vain} by the loop). What cannot be
  served in time is turned away at once with the time to come back, and has cost nothing.
- **Where the baselines win: the five-attempt loops answer more calls**, {naive} against {quota} on one model and {both}
  against {fallback} on two. A short call fits into what is left of a quota where a long one does not, and forty
  tries for each answer find every gap; and who still tries half a minute later gets through when the rush is over.
  The quota layer lets calls through in the order they came. The same preference can be had on purpose: with a
  quarter of the prompts, the shortest, in a higher priority class, {short} are answered, and of the costliest fifth of
  all calls {short_costliest} (in order: {fallback_costliest}).
- **A longer queue answers no more of the rush.** Left at its defaults the quota layer lets a call wait for as long as
  its deadline allows, less the time that answers have been taking: {default_median} at the median, and {default} of the rush
  are answered. With at most five seconds of waiting it is {quota}, and the median is {quota_median}. What the longer
  queue buys is that its calls are answered when the rush is over; what it costs is that {default_wasted} of what is
  charged is for calls whose client goes away first. Whoever sets long deadlines does well to set `max_wait` far below them.
- **A second model doubles it.** The fallback layer knows both quotas and sends a call where there is room: {fallback}
  are answered, with {fallback_throttles} 429s an answer. Calling one model five times and then the other five times
  answers {both}, with {both_throttles}, and the wait doubles ({both_median} against {fallback_median} at the median)
  because each call has to fail on the first model before it is sent to the second.
- **The breaker alone is no answer to a quota.** Without a quota layer, throttles are all it sees; it opens, and
  calls that would have been let through are not sent: {breaker} answered, though with {breaker_throttles} 429s an
  answer in place of {retry_throttles}.
",
        naive = answered(Who::FiveAttempts),
        naive_throttles = throttles(Who::FiveAttempts),
        naive_vain = percent(Who::FiveAttempts, |rush| rush.sent_in_vain),
        standard_throttles = throttles(Who::Sdk(Retries::Standard)),
        adaptive_throttles = throttles(Who::Sdk(Retries::Adaptive)),
        quota = answered(Who::QuotaShortly),
        quota_throttles = throttles(Who::QuotaShortly),
        quota_vain = percent(Who::QuotaShortly, |rush| rush.sent_in_vain),
        quota_median = median(Who::QuotaShortly),
        default = answered(Who::Quota),
        default_median = median(Who::Quota),
        default_wasted = percent(Who::Quota, |rush| rush.wasted),
        short = answered(Who::ShortFirst),
        short_costliest = costliest(Who::ShortFirst),
        fallback = answered(Who::Fallback),
        fallback_costliest = costliest(Who::Fallback),
        fallback_throttles = throttles(Who::Fallback),
        fallback_median = median(Who::Fallback),
        both = answered(Who::FiveAttemptsEach),
        both_throttles = throttles(Who::FiveAttemptsEach),
        both_median = median(Who::FiveAttemptsEach),
        breaker = answered(Who::Breaker),
        breaker_throttles = throttles(Who::Breaker),
        retry_throttles = throttles(Who::Retry),
    )
}

const SETUP: &str = "\
For ten minutes an application asks for just what its quota of 100,000 tokens a minute gives; then, for ten minutes,
for ten times as much; then as at first. Calls come at random (a Poisson process), each with a prompt of 200 to 2,000
tokens, `max_tokens` 1,000 and an answer of 50 to 600 tokens. Output tokens burn the quota down five times as fast as
input. A model says its first token after a second, then 50 a second; whoever has no answer after 60 seconds goes
away. A second model, with a quota of its own, can stand in. Both quotas are kept in sliding windows. Ten mornings for each client, the same calls at the same
times for all:

- **no retry**: every call is sent once;
- **five-attempt loop**: the loop of AWS's own teaching sample for Bedrock, `2^n` seconds and a little jitter between
  attempts, for throttles alone; **on each model**: the same loop, then once more on the second model;
- **AWS SDK**: the SDK for Rust itself, its retries as they come, its standard and its adaptive mode;
- **ours**: the layers as they come, one more in each row: retry; circuit breaker; the quota layer, told of the quota
  and nothing else (how many tokens a prompt has, it estimates from its bytes and learns from the answers); the
  same, waiting for five seconds at most; a fallback to the second model where the first would keep a call
  waiting for longer; and priority for the shortest quarter of the prompts.";
