//! What is shown, in one table of panels: CloudWatch's dashboard and Grafana's are both made from it.

use serde_json::{Value, json};
use tower_bedrock_core::FaultKind;

use super::Operations;
use crate::table::{self, Kind, Metric};

/// Stands for the Region where the metrics are, to be replaced.
pub(crate) const REGION_PLACEHOLDER: &str = "@@region@@";

pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// Grafana's name of the unit.
    pub(crate) unit: &'static str,
    pub(crate) lines: &'static [Line],
    /// Whether it shows last week too.
    pub(crate) against_last_week: bool,
}

pub(crate) enum Line {
    /// One line for each set of labels.
    Each {
        metric: Metric,
        /// A label and the values of it that are wanted.
        only: Option<(&'static str, &'static [FaultKind])>,
        stat: Stat,
        name: &'static str,
    },
    /// One line: a share of all targets together, in percent.
    Share { of: Metric, among: Metric },
}

#[derive(Clone, Copy)]
pub(crate) enum Stat {
    Sum,
    Max,
    /// Per cent.
    Percentile(u8),
}

/// Lines of one panel by model and Region.
const fn each(metric: Metric, stat: Stat, name: &'static str) -> Line {
    Line::Each {
        metric,
        only: None,
        stat,
        name,
    }
}

const UNAVAILABLE: &[FaultKind] = &[FaultKind::Unavailable, FaultKind::TooManyConnections];
const ONLY_503: Line = Line::Each {
    metric: table::INVOCATION_SERVER_ERRORS,
    only: Some((table::FAULT, UNAVAILABLE)),
    stat: Stat::Sum,
    name: "503",
};

pub(crate) const PANELS: &[Panel] = &[
    Panel {
        title: "429: throttles by flavour (a quota problem)",
        unit: "short",
        lines: &[each(table::INVOCATION_THROTTLES, Stat::Sum, "")],
        against_last_week: false,
    },
    Panel {
        title: "503: unavailable (a service problem)",
        unit: "short",
        lines: &[ONLY_503],
        against_last_week: false,
    },
    Panel {
        title: "429 against last week",
        unit: "short",
        lines: &[each(table::INVOCATION_THROTTLES, Stat::Sum, "")],
        against_last_week: true,
    },
    Panel {
        title: "503 against last week",
        unit: "short",
        lines: &[ONLY_503],
        against_last_week: true,
    },
    Panel {
        title: "Quota used, % of each limit",
        unit: "percent",
        lines: &[each(table::QUOTA_UTILIZATION, Stat::Max, "")],
        against_last_week: false,
    },
    Panel {
        title: "Waiting for quota, ms",
        unit: "ms",
        lines: &[
            each(table::QUOTA_WAIT, Stat::Percentile(50), "p50"),
            each(table::QUOTA_WAIT, Stat::Percentile(99), "p99"),
        ],
        against_last_week: false,
    },
    Panel {
        title: "Requests that failed, %",
        unit: "percent",
        lines: &[Line::Share {
            of: table::REQUEST_ERRORS,
            among: table::REQUESTS,
        }],
        against_last_week: false,
    },
    Panel {
        title: "Degraded but functional: served by a fallback or a kept answer, %",
        unit: "percent",
        lines: &[
            Line::Share {
                of: table::FALLBACK_MODEL_INVOCATIONS,
                among: table::REQUESTS,
            },
            Line::Share {
                of: table::DEGRADED_ANSWERS,
                among: table::REQUESTS,
            },
        ],
        against_last_week: false,
    },
    Panel {
        title: "Latency of attempts, ms",
        unit: "ms",
        lines: &[
            each(table::INVOCATION_LATENCY, Stat::Percentile(50), "p50"),
            each(table::INVOCATION_LATENCY, Stat::Percentile(90), "p90"),
            each(table::INVOCATION_LATENCY, Stat::Percentile(99), "p99"),
        ],
        against_last_week: false,
    },
    Panel {
        title: "Time to first token, ms",
        unit: "ms",
        lines: &[
            each(table::TIME_TO_FIRST_TOKEN, Stat::Percentile(50), "p50"),
            each(table::TIME_TO_FIRST_TOKEN, Stat::Percentile(90), "p90"),
            each(table::TIME_TO_FIRST_TOKEN, Stat::Percentile(99), "p99"),
        ],
        against_last_week: false,
    },
    Panel {
        title: "Circuit breakers: 0 closed, 1 probing, 2 open",
        unit: "short",
        lines: &[each(table::CIRCUIT_BREAKER_STATE, Stat::Max, "")],
        against_last_week: false,
    },
    Panel {
        title: "Requests, retries, cancelled, cache",
        unit: "short",
        lines: &[
            each(table::REQUESTS, Stat::Sum, "requests"),
            each(table::RETRIES, Stat::Sum, "retries"),
            each(table::CANCELLED_REQUESTS, Stat::Sum, "cancelled"),
            each(table::CACHE_HITS, Stat::Sum, "cache hits"),
            each(table::CACHE_SHARED_ANSWERS, Stat::Sum, "cache shared"),
            each(table::CACHE_MISSES, Stat::Sum, "cache misses"),
        ],
        against_last_week: false,
    },
    Panel {
        title: "Given up, by cause",
        unit: "short",
        lines: &[each(table::GIVE_UPS, Stat::Sum, "")],
        against_last_week: false,
    },
    Panel {
        title: "Tokens",
        unit: "short",
        lines: &[
            each(table::INPUT_TOKEN_COUNT, Stat::Sum, "input"),
            each(table::OUTPUT_TOKEN_COUNT, Stat::Sum, "output"),
            each(table::CACHE_READ_INPUT_TOKEN_COUNT, Stat::Sum, "cache read"),
            each(
                table::CACHE_WRITE_INPUT_TOKEN_COUNT,
                Stat::Sum,
                "cache write",
            ),
        ],
        against_last_week: false,
    },
];

pub(crate) const HOW_TO_READ: &str = "**429** is your quota: wait, ask for less, or ask for more of it. \
**503** is Bedrock: wait for it or go elsewhere. A share of fallbacks without failed requests is *degraded but functional*.";

impl Operations {
    /// The dashboard's name.
    #[must_use]
    pub fn dashboard_name(&self) -> String {
        format!("{}-bedrock", self.name)
    }

    /// The body of a CloudWatch dashboard over the metrics in a Region.
    #[must_use]
    pub fn dashboard(&self, region: &str) -> Value {
        const WIDTH: usize = 12;
        const HEIGHT: usize = 6;
        let mut widgets = vec![json!({
            "type": "text", "x": 0, "y": 0, "width": 2 * WIDTH, "height": 2,
            "properties": {"markdown": HOW_TO_READ},
        })];
        for (number, panel) in PANELS.iter().enumerate() {
            let period = if panel.against_last_week { 3_600 } else { 60 };
            let metrics: Vec<_> = panel
                .lines
                .iter()
                .map(|line| json!([{"expression": self.expression(line, period), "label": line.label()}]))
                .collect();
            let mut properties = json!({
                "title": panel.title,
                "view": "timeSeries",
                "region": region,
                "period": period,
                "yAxis": {"left": {"min": 0}},
                "metrics": metrics,
            });
            if panel.against_last_week {
                // CloudWatch cannot shift a series in time: eight days show this weekday and the last one.
                properties["start"] = "-P8D".into();
            }
            widgets.push(json!({
                "type": "metric",
                "x": WIDTH * (number % 2), "y": 2 + HEIGHT * (number / 2), "width": WIDTH, "height": HEIGHT,
                "properties": properties,
            }));
        }
        json!({"start": "-PT3H", "periodOverride": "inherit", "widgets": widgets})
    }

    fn expression(&self, line: &Line, period: u32) -> String {
        match line {
            Line::Each {
                metric, only, stat, ..
            } => self.search(*metric, metric.labels, *only, *stat, period),
            Line::Share { of, among } => {
                // What is rolled up has the labels of the target alone.
                let sum = |metric| {
                    format!(
                        "SUM({})",
                        self.search(metric, table::REQUESTS.labels, None, Stat::Sum, period)
                    )
                };
                format!("100 * {} / {}", sum(*of), sum(*among))
            }
        }
    }

    fn search(
        &self,
        metric: Metric,
        labels: &[&str],
        only: Option<(&str, &[FaultKind])>,
        stat: Stat,
        period: u32,
    ) -> String {
        let mut schema = vec![format!("\"{}\"", self.namespace)];
        schema.extend(labels.iter().map(|label| format!("\"{label}\"")));
        let common = self
            .dimensions
            .iter()
            .filter(|(name, _)| !labels.contains(&name.as_str()));
        schema.extend(common.clone().map(|(name, _)| format!("\"{name}\"")));
        let mut terms = format!("MetricName=\"{}\"", metric.name);
        for (name, value) in common {
            terms.push_str(&format!(" \"{name}\"=\"{value}\""));
        }
        if let Some((label, kinds)) = only {
            let kinds: Vec<_> = kinds
                .iter()
                .map(|kind| format!("{label}=\"{}\"", kind.as_str()))
                .collect();
            terms.push_str(&format!(" ({})", kinds.join(" OR ")));
        }
        let stat = stat.cloudwatch();
        format!(
            "SEARCH('{{{}}} {terms}', '{stat}', {period})",
            schema.join(",")
        )
    }
}

impl Stat {
    fn cloudwatch(self) -> String {
        match self {
            Self::Sum => "Sum".to_owned(),
            Self::Max => "Maximum".to_owned(),
            Self::Percentile(percent) => format!("p{percent}"),
        }
    }
}

impl Line {
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Each { name, .. } => name,
            Self::Share { of, .. } => of.name,
        }
    }

    /// The same for Prometheus, as the exporter of the `metrics` facade names things.
    pub(crate) fn promql(&self, range: &str, offset: &str) -> String {
        match self {
            Self::Each {
                metric, only, stat, ..
            } => {
                let labels = metric.labels.join(", ");
                let mut select = only.map_or_else(Vec::new, |(label, kinds)| {
                    let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
                    vec![format!("{label}=~\"{}\"", kinds.join("|"))]
                });
                if let Stat::Percentile(percent) = stat {
                    select.push(format!("quantile=\"{}\"", f64::from(*percent) / 100.0));
                }
                let select = if select.is_empty() {
                    String::new()
                } else {
                    format!("{{{}}}", select.join(", "))
                };
                let name = metric.name;
                match metric.kind {
                    Kind::Counter => {
                        format!("sum by ({labels}) (increase({name}{select}[{range}]{offset}))")
                    }
                    Kind::Gauge | Kind::Histogram => {
                        format!("max by ({labels}) ({name}{select}{offset})")
                    }
                }
            }
            Self::Share { of, among } => {
                let sum =
                    |metric: &Metric| format!("sum(increase({}[{range}]{offset}))", metric.name);
                format!("100 * {} / {}", sum(of), sum(among))
            }
        }
    }
}
