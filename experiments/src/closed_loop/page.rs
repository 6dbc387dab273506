//! The page.

use super::{Figures, Who};
use crate::{
    Report, Table,
    baselines::sdk::Retries,
    plot::{Chart, Line},
    report::verdict,
    stats::{Estimate, quantile},
};

/// What others measured in this set-up.
const KNOWN: [[&str; 7]; 3] = [
    [
        "published: AWS's new standard retry",
        "17.7",
        "94%",
        "",
        "",
        "",
        "",
    ],
    [
        "published: full jitter, no limit",
        "4.47",
        "",
        "",
        "",
        "",
        "256 s",
    ],
    [
        "published: a mirror that knows all",
        "0",
        "",
        "100.0%",
        "",
        "",
        "42 s",
    ],
];

pub(super) fn of(figures: &[(Who, Figures)], seed: u64) -> Report {
    let mut table = Table::new([
        "",
        "429s an answer",
        "calls that failed",
        "quota used",
        "answers a minute",
        "p50",
        "p99",
    ]);
    for (who, figures) in figures {
        table.row(figures.row(who.name()));
    }
    for known in KNOWN {
        table.row(known);
    }
    Report {
        name: "closed-loop",
        title: "Twenty clients on one quota",
        setup: SETUP.into(),
        tables: vec![
            (
                "From a client's call to its answer, waiting and retries included".into(),
                table,
            ),
            ("The goals".into(), goals(figures)),
        ],
        findings: findings(figures),
        charts: vec![Chart {
            title: "How long an answer takes".into(),
            x: "share of the answers".into(),
            y: "no longer than so many seconds".into(),
            top: Some(120.0),
            lines: figures.iter().map(|(who, f)| f.line(who.name())).collect(),
        }],
        seed,
    }
}

fn goals(figures: &[(Who, Figures)]) -> Table {
    let mut table = Table::new(["", "429s: none", "quota used: 99%", "p99: 45 s"]);
    for (who, figures) in figures.iter().filter(|(who, _)| who.is_ours()) {
        table.row([
            who.name(),
            verdict(figures.throttles_per_success.mean == 0.0),
            verdict(figures.utilisation.mean >= 0.99),
            verdict(figures.wait(0.99) <= 45.0),
        ]);
    }
    table
}

fn findings(figures: &[(Who, Figures)]) -> String {
    let of = |who: Who| {
        figures
            .iter()
            .find(|(other, _)| *other == who)
            .map(|(_, figures)| figures)
    };
    let number = |who, number: fn(&Figures) -> f64, digits: usize| {
        of(who).map_or_else(String::new, |figures| {
            format!("{:.digits$}", number(figures))
        })
    };
    let p99 = |who| number(who, |figures| figures.wait(0.99), 0);
    let throttles = |who| number(who, |figures| figures.throttles_per_success.mean, 1);
    let used = |who| number(who, |figures| 100.0 * figures.utilisation.mean, 1);
    let standard = Who::Sdk(Retries::Standard);
    format!(
        "\
- **Told how the quota is kept, the quota layer does as well as one who knows everything.** With the bucket declared
  it uses {bucket_used}% of the quota without a single throttle, and a call in a hundred takes longer than {bucket} s;
  the mirror, which reads the service's own level and knows what each call will cost, does it in {mirror} s. What a
  prompt costs the layer estimates, and learns from the answers.
- **Where the shape of the quota is not known, safety has a price.** AWS does not say how a minute is counted. By
  default the layer never goes beyond the limit in any 60 seconds. Against a service that refills continuously it uses
  {sliding_used}%, and the slowest call in a hundred waits for {sliding} s. `Window::Bucket` where it is known to be
  one.
- **Retrying without knowing the quota earns throttles.** The SDK's standard mode gives up on {failed}% of its calls,
  with {standard_throttles} 429s for each that it completes; retrying for ever with full jitter completes them all
  with {jitter_throttles}, but who is unlucky waits {jitter} s, because who came last has the best chances: its delays
  are the shortest. Most of its waits are shorter than ours, which is the same thing seen from the other side.
- **Told nothing at all**, the layer finds the limit from the throttles it meets: it used {unknown_used}% of the quota,
  with {unknown_throttles} 429s an answer, and a call in a hundred took longer than {unknown} s. What is found that way
  is how the quota is kept as well, which is why it can do better than a limit declared in the wrong shape. A limit
  that is known is still better declared: it costs no throttles and holds from the first call.
",
        bucket_used = used(Who::QuotaBucket),
        bucket = p99(Who::QuotaBucket),
        mirror = p99(Who::Mirror),
        sliding_used = used(Who::Quota),
        sliding = p99(Who::Quota),
        failed = number(standard, |figures| 100.0 * figures.failed.mean, 0),
        standard_throttles = throttles(standard),
        jitter_throttles = throttles(Who::FullJitter),
        jitter = p99(Who::FullJitter),
        unknown_used = used(Who::QuotaUnknown),
        unknown = p99(Who::QuotaUnknown),
        unknown_throttles = number(
            Who::QuotaUnknown,
            |figures| figures.throttles_per_success.mean,
            3
        ),
    )
}

const SETUP: &str = "\
Twenty clients share a quota of 100,000 tokens a minute, which the service keeps in a bucket that refills
continuously. Each makes its next call as soon as its last one is over: 200 to 2,000 tokens in, `max_tokens` 1,000, 50
to 600 tokens out at a burndown of 5; an answer takes a second, and one more for each 50 tokens. Nobody gives up, and
whose call failed leaves it for a second. Half an hour for each client, its first minute not counted, with ten seeds.

- **AWS SDK**: the SDK for Rust itself, its retries as they come;
- **full jitter, no limit**: this project's retry layer without its limits, a thousand attempts and no budget;
- **a mirror that knows all** lets one call after the other through as soon as the service's own level has room for
  what it knows the call will reserve: nobody can have it, and nobody can do better in this order;
- **ours**: retry and quota layers, the quota declared (in sliding windows, the default), declared as the bucket it
  is, and not declared at all.

Beside them, what others published for this set-up.";

impl Figures {
    /// The time in seconds within which such a share of the answers came.
    pub(super) fn wait(&self, share: f64) -> f64 {
        quantile(&self.waits, share).unwrap_or_default()
    }

    fn row(&self, name: &str) -> [String; 7] {
        let percent =
            |e: Estimate| format!("{:.1}% ± {:.1}", 100.0 * e.mean, 100.0 * e.standard_error);
        let throttles = &self.throttles_per_success;
        [
            name.to_owned(),
            format!("{:.3} ± {:.3}", throttles.mean, throttles.standard_error),
            percent(self.failed),
            percent(self.utilisation),
            format!("{:.1}", self.successes.mean),
            format!("{:.1} s", self.wait(0.5)),
            format!("{:.1} s", self.wait(0.99)),
        ]
    }

    fn line(&self, name: &str) -> Line {
        let shares = (1..=99).map(|percent| f64::from(percent) / 100.0);
        Line::new(name, shares.map(|share| (share, self.wait(share))))
    }
}
