use tower_bedrock_core::{Route, Target};

use super::{
    AlarmKind, Operations, Severity,
    rules::{Input, Rule},
};
use crate::{names, table};

/// One CloudWatch alarm: an expression over metrics, and when it is out of bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    name: String,
    description: String,
    kind: AlarmKind,
    topic: Option<String>,
    queries: Vec<Query>,
    threshold: f64,
}

/// A metric that an alarm looks at, or what it makes of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Query {
    /// A metric, under an id that the expression has.
    Metric(Metric),
    /// What is compared with the threshold.
    Expression(&'static str),
}

/// A metric that an alarm looks at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its id in the expression.
    pub id: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The metric's name.
    pub name: &'static str,
    /// All of its dimensions, in the order of names.
    pub dimensions: Vec<(String, String)>,
    /// The statistic.
    pub stat: &'static str,
    /// Seconds that the statistic is taken over.
    pub period: u32,
}

impl Alarm {
    /// Its name, unique for a configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it means and what to do.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Which alarm it is.
    #[must_use]
    pub const fn kind(&self) -> AlarmKind {
        self.kind
    }

    /// Whom it concerns.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.kind.severity()
    }

    /// The SNS topic it tells, where one was named.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The metrics, and last the expression that is compared with the threshold.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The threshold.
    #[must_use]
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// How it is compared, as CloudWatch names it.
    #[must_use]
    pub const fn comparison_operator(&self) -> &'static str {
        self.rule().comparison.operator()
    }

    /// How many periods are looked at.
    #[must_use]
    pub const fn evaluation_periods(&self) -> u32 {
        self.rule().evaluation_periods
    }

    /// How many of them have to be out of bounds.
    #[must_use]
    pub const fn datapoints_to_alarm(&self) -> u32 {
        self.rule().datapoints
    }

    const fn rule(&self) -> &'static Rule {
        self.kind.rule()
    }
}

/// What an alarm watches: a target, or the quota that it uses.
struct Subject {
    labels: Vec<(&'static str, String)>,
    name: String,
}

impl Subject {
    fn target(target: &Target) -> Self {
        let (model, region) = (target.model().as_str(), target.region().as_str());
        Self {
            labels: vec![
                (table::MODEL_ID, model.to_owned()),
                (table::REGION, region.to_owned()),
            ],
            name: format!("{model} in {region}"),
        }
    }

    fn quota(target: &Target) -> Self {
        let (model, region) = (target.model().base(), target.region().as_str());
        let route = route(target.model().route());
        Self {
            labels: vec![
                (table::MODEL_ID, model.to_owned()),
                (table::REGION, region.to_owned()),
                (table::ROUTE, route.to_owned()),
            ],
            name: format!("{model} in {region}, {route}"),
        }
    }
}

/// The ways of calling that have quotas of their own, as the quota layer names them.
const fn route(route: Route) -> &'static str {
    match route {
        Route::OnDemand => "on-demand",
        Route::Geographic(_) => "cross-region",
        Route::Global => "global",
        Route::Dedicated => "dedicated",
        _ => "undetermined",
    }
}

impl Operations {
    /// The alarms, of each kind for each target. Targets that share a quota share its alarm.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = Vec::new();
        for kind in AlarmKind::ALL {
            for target in &self.targets {
                let subject = match kind {
                    AlarmKind::QuotaNearlyUsed | AlarmKind::QuotaStoreLost => {
                        Subject::quota(target)
                    }
                    _ => Subject::target(target),
                };
                let alarm = self.alarm(kind, &subject);
                if !alarms.iter().any(|other| other.name == alarm.name) {
                    alarms.push(alarm);
                }
            }
        }
        alarms
    }

    fn alarm(&self, kind: AlarmKind, subject: &Subject) -> Alarm {
        let rule = kind.rule();
        let inputs = rule.inputs.iter();
        let queries = inputs
            .map(|input| Query::Metric(self.metric(input, rule.period, subject)))
            .chain([Query::Expression(rule.expression)])
            .collect();
        let about = short(&subject.name, 200);
        Alarm {
            name: names::dimension_name(&format!(
                "{} {}: {}",
                self.name,
                kind.as_str(),
                subject.name
            )),
            description: format!(
                "[{}] {}: {about}. {}",
                rule.severity.as_str(),
                rule.title,
                kind.advice()
            ),
            kind,
            topic: self.topics.get(&rule.severity).cloned(),
            queries,
            threshold: self.threshold(kind),
        }
    }

    fn metric(&self, input: &Input, period: u32, subject: &Subject) -> Metric {
        let labels = subject
            .labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        Metric {
            id: input.id,
            namespace: self.namespace.clone(),
            name: input.metric.name,
            dimensions: self.dimensions_with(labels.chain(input.label)),
            stat: input.stat,
            period,
        }
    }

    /// As the recorder sends them.
    fn dimensions_with<'a>(
        &self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(String, String)> {
        let labels: Vec<_> = labels
            .into_iter()
            .map(|(name, value)| metrics::Label::new(name.to_owned(), value.to_owned()))
            .collect();
        let key = metrics::Key::from_parts("", labels);
        names::Series::new(&key, &self.dimensions).dimensions
    }
}

/// The beginning of a text, with a mark where something is left out.
fn short(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
