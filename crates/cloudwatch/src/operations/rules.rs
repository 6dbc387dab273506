//! The alarms in one table: CloudWatch's alarms and Prometheus' rules are both made from it.

use tower_bedrock_core::FaultKind;

use crate::table::{self, Metric};

/// Whom an alarm concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Users are turned away: wakes somebody up.
    Critical,
    /// Users soon will be: somebody's work during the day.
    Warning,
    /// Degraded but functional: good to know.
    Notice,
}

/// The alarms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AlarmKind {
    /// More throttles in five minutes than this; 10 unless set.
    Throttled,
    /// At least so many throttles a minute, in five minutes of six; 1 unless set.
    ThrottledRepeatedly,
    /// More than so many percent of a limit used, for three minutes of five; 80 unless set.
    QuotaNearlyUsed,
    /// The store does not answer through which processes share a quota, for three minutes of five. The threshold, 1
    /// unless set, is the gauge's number.
    QuotaStoreLost,
    /// Less than so many percent of requests answered, of at least twenty in ten minutes, the caller's
    /// mistakes aside; 95 unless set.
    SuccessLow,
    /// More 503s in five minutes than this; 5 unless set.
    UnavailableSpike,
    /// The circuit breaker is open for two minutes of three. The threshold, 2 unless set, is the
    /// state's number.
    BreakerOpen,
    /// At least so many "too many connections" in each of three minutes of five; 1 unless set.
    PoolSaturated,
    /// More than so many percent of requests served by another target, or by a cached or canned answer because all
    /// else had failed, of at least twenty in fifteen minutes; 10 unless set.
    FallbackHigh,
}

/// One row of the table.
pub(crate) struct Rule {
    pub(crate) title: &'static str,
    pub(crate) severity: Severity,
    /// What is known when it goes off.
    pub(crate) meaning: &'static str,
    pub(crate) what_to_do: &'static str,
    pub(crate) inputs: &'static [Input],
    /// CloudWatch's metric math over the inputs' ids. A sum with a missing part is missing, so its parts are filled;
    /// alone a metric is not, because the newest minute, not yet there, would count as a zero.
    pub(crate) expression: &'static str,
    pub(crate) comparison: Comparison,
    pub(crate) threshold: f64,
    /// Seconds.
    pub(crate) period: u32,
    pub(crate) evaluation_periods: u32,
    pub(crate) datapoints: u32,
    /// The same for Prometheus, `{threshold}` to be filled in, and how long it has to hold. Growth is looked at over
    /// four scrapes of a minute or more: it takes two, and one may fail.
    pub(crate) promql: &'static str,
    pub(crate) promql_for: &'static str,
}

/// A metric that an alarm looks at.
pub(crate) struct Input {
    pub(crate) id: &'static str,
    pub(crate) metric: Metric,
    pub(crate) stat: &'static str,
    /// A label besides those of the target or quota.
    pub(crate) label: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Above,
    AtLeast,
    Below,
}

const fn sum(id: &'static str, metric: Metric) -> Input {
    Input {
        id,
        metric,
        stat: "Sum",
        label: None,
    }
}

const fn of_fault(id: &'static str, metric: Metric, fault: FaultKind) -> Input {
    Input {
        id,
        metric,
        stat: "Sum",
        label: Some((table::FAULT, fault.as_str())),
    }
}

impl AlarmKind {
    /// Every alarm.
    pub const ALL: [Self; 9] = [
        Self::Throttled,
        Self::ThrottledRepeatedly,
        Self::QuotaNearlyUsed,
        Self::QuotaStoreLost,
        Self::SuccessLow,
        Self::UnavailableSpike,
        Self::BreakerOpen,
        Self::PoolSaturated,
        Self::FallbackHigh,
    ];

    /// Its name, as part of alarms' names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::ThrottledRepeatedly => "throttled-repeatedly",
            Self::QuotaNearlyUsed => "quota-nearly-used",
            Self::QuotaStoreLost => "quota-store-lost",
            Self::SuccessLow => "success-low",
            Self::UnavailableSpike => "unavailable-spike",
            Self::BreakerOpen => "breaker-open",
            Self::PoolSaturated => "pool-saturated",
            Self::FallbackHigh => "fallback-high",
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.rule().severity
    }

    /// What all alarms of this kind mean, and what to do.
    pub(crate) fn advice(self) -> String {
        let rule = self.rule();
        format!("{} What to do: {}", rule.meaning, rule.what_to_do)
    }

    pub(crate) const fn rule(self) -> &'static Rule {
        match self {
            Self::Throttled => &THROTTLED,
            Self::ThrottledRepeatedly => &THROTTLED_REPEATEDLY,
            Self::QuotaNearlyUsed => &QUOTA_NEARLY_USED,
            Self::QuotaStoreLost => &QUOTA_STORE_LOST,
            Self::SuccessLow => &SUCCESS_LOW,
            Self::UnavailableSpike => &UNAVAILABLE_SPIKE,
            Self::BreakerOpen => &BREAKER_OPEN,
            Self::PoolSaturated => &POOL_SATURATED,
            Self::FallbackHigh => &FALLBACK_HIGH,
        }
    }
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Notice];

    /// The severity in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl Comparison {
    /// CloudWatch's name of it.
    pub(crate) const fn operator(self) -> &'static str {
        match self {
            Self::Above => "GreaterThanThreshold",
            Self::AtLeast => "GreaterThanOrEqualToThreshold",
            Self::Below => "LessThanThreshold",
        }
    }
}

const THROTTLED: Rule = Rule {
    title: "Bedrock throttles",
    severity: Severity::Warning,
    meaning: "Bedrock answered 429 more often than retries should have to hide: a quota problem, not a service problem.",
    what_to_do: "See in the 429 widget which flavour it is. Requests or tokens a minute: lower max_tokens, declare the limits to the quota layer, or ask for a higher quota. Tokens a day: move work to another model until midnight UTC. Overloaded: nobody's quota, let the fallback chain serve.",
    inputs: &[sum("throttles", table::INVOCATION_THROTTLES)],
    expression: "throttles",
    comparison: Comparison::Above,
    threshold: 10.0,
    period: 300,
    evaluation_periods: 1,
    datapoints: 1,
    promql: "sum by (ModelId, Region) (increase(InvocationThrottles[5m])) > {threshold}",
    promql_for: "0m",
};

const THROTTLED_REPEATEDLY: Rule = Rule {
    title: "Bedrock keeps throttling",
    severity: Severity::Critical,
    meaning: "There were 429s in five of six minutes: waiting and retrying do not get the load under the quota.",
    what_to_do: "Shed load or add capacity: turn off batch work, add a target to the fallback chain, ask for a higher quota. Check whether another application of the account uses the same quota.",
    inputs: &[sum("throttles", table::INVOCATION_THROTTLES)],
    expression: "throttles",
    comparison: Comparison::AtLeast,
    threshold: 1.0,
    period: 60,
    evaluation_periods: 6,
    datapoints: 5,
    promql: "60 * sum by (ModelId, Region) (rate(InvocationThrottles[4m])) >= {threshold}",
    promql_for: "5m",
};

const QUOTA_NEARLY_USED: Rule = Rule {
    title: "Quota nearly used up",
    severity: Severity::Warning,
    meaning: "Reservations hold most of the tokens a minute: calls will soon wait for their turn.",
    what_to_do: "Lower max_tokens where answers are much shorter, spread batch work, or ask Service Quotas for more. It is no outage: nothing has been refused yet.",
    inputs: &[Input {
        id: "used",
        metric: table::QUOTA_UTILIZATION,
        stat: "Maximum",
        label: Some((table::LIMIT, "tokens_per_minute")),
    }],
    expression: "used",
    comparison: Comparison::Above,
    threshold: 80.0,
    period: 60,
    evaluation_periods: 5,
    datapoints: 3,
    promql: "max by (ModelId, Region, Route) (QuotaUtilization{Limit=\"tokens_per_minute\"}) > {threshold}",
    promql_for: "3m",
};

const QUOTA_STORE_LOST: Rule = Rule {
    title: "Quota store lost",
    severity: Severity::Warning,
    meaning: "The Redis or Valkey through which processes share the quota does not answer one of them at least: it keeps to a safe share, so the quota is used less than it could be.",
    what_to_do: "Calls go on, and nobody goes beyond the quota for it. See whether the store runs and can be reached from the process that warns of it in its log, whether its password has changed, and whether it has memory left. Once it answers, shares are as before within a minute or two.",
    inputs: &[Input {
        id: "lost",
        metric: table::QUOTA_STORE_LOST,
        stat: "Maximum",
        label: None,
    }],
    expression: "lost",
    comparison: Comparison::AtLeast,
    threshold: 1.0,
    period: 60,
    evaluation_periods: 5,
    datapoints: 3,
    promql: "max by (ModelId, Region, Route) (QuotaStoreLost) >= {threshold}",
    promql_for: "3m",
};

const SUCCESS_LOW: Rule = Rule {
    title: "Requests fail",
    severity: Severity::Critical,
    meaning: "Too many requests ended with an error after all retries and fallbacks, the caller's own mistakes aside.",
    what_to_do: "Compare the 429 and the 503 widget. 429: see the throttling alarms. 503: see AWS Health, and move traffic to another Region or model with the fallback chain. Neither: read the log query of failed attempts.",
    inputs: &[
        sum("requests", table::REQUESTS),
        sum("errors", table::REQUEST_ERRORS),
        of_fault("mistakes1", table::REQUEST_ERRORS, FaultKind::Validation),
        of_fault("mistakes2", table::REQUEST_ERRORS, FaultKind::AccessDenied),
        of_fault(
            "mistakes3",
            table::REQUEST_ERRORS,
            FaultKind::ResourceNotFound,
        ),
        of_fault(
            "mistakes4",
            table::REQUEST_ERRORS,
            FaultKind::ServiceQuotaExceeded,
        ),
    ],
    expression: "IF(FILL(requests, 0) >= 20, 100 - 100 * (FILL(errors, 0) - FILL(mistakes1, 0) - FILL(mistakes2, 0) - FILL(mistakes3, 0) - FILL(mistakes4, 0)) / requests, 100)",
    comparison: Comparison::Below,
    threshold: 95.0,
    period: 600,
    evaluation_periods: 1,
    datapoints: 1,
    promql: "100 - 100 * sum by (ModelId, Region) (increase(RequestErrors{Fault!~\"validation|access_denied|resource_not_found|service_quota_exceeded\"}[10m])) / (sum by (ModelId, Region) (increase(Requests[10m])) >= 20) < {threshold}",
    promql_for: "0m",
};

const UNAVAILABLE_SPIKE: Rule = Rule {
    title: "Bedrock is unavailable",
    severity: Severity::Warning,
    meaning: "Bedrock answered 503: a service problem, not a quota problem.",
    what_to_do: "See AWS Health for the Region. Retries, the circuit breaker and the fallback chain act on their own: check that there is another Region or model to fall back to. A higher quota does not help.",
    inputs: &[
        of_fault(
            "unavailable",
            table::INVOCATION_SERVER_ERRORS,
            FaultKind::Unavailable,
        ),
        of_fault(
            "connections",
            table::INVOCATION_SERVER_ERRORS,
            FaultKind::TooManyConnections,
        ),
    ],
    expression: "FILL(unavailable, 0) + FILL(connections, 0)",
    comparison: Comparison::Above,
    threshold: 5.0,
    period: 300,
    evaluation_periods: 1,
    datapoints: 1,
    promql: "sum by (ModelId, Region) (increase(InvocationServerErrors{Fault=~\"unavailable|too_many_connections\"}[5m])) > {threshold}",
    promql_for: "0m",
};

const BREAKER_OPEN: Rule = Rule {
    title: "Circuit breaker open",
    severity: Severity::Critical,
    meaning: "Calls to the target are turned away without being sent, because most of them failed or an operator said so.",
    what_to_do: "Requests go to the next target of the fallback chain, if there is one: check the fallback widget. The breaker tries again by itself. If an operator forced it open, close it when the target is well.",
    inputs: &[Input {
        id: "state",
        metric: table::CIRCUIT_BREAKER_STATE,
        stat: "Maximum",
        label: None,
    }],
    expression: "state",
    comparison: Comparison::AtLeast,
    threshold: 2.0,
    period: 60,
    evaluation_periods: 3,
    datapoints: 2,
    promql: "max by (ModelId, Region) (CircuitBreakerState) >= {threshold}",
    promql_for: "2m",
};

const POOL_SATURATED: Rule = Rule {
    title: "Too many connections",
    severity: Severity::Warning,
    meaning: "Bedrock refuses connections: this application holds too many at once.",
    what_to_do: "Lower the concurrency (streams count for as long as they last), or spread it over Regions. A higher token quota does not help.",
    inputs: &[of_fault(
        "connections",
        table::INVOCATION_SERVER_ERRORS,
        FaultKind::TooManyConnections,
    )],
    expression: "connections",
    comparison: Comparison::AtLeast,
    threshold: 1.0,
    period: 60,
    evaluation_periods: 5,
    datapoints: 3,
    promql: "60 * sum by (ModelId, Region) (rate(InvocationServerErrors{Fault=\"too_many_connections\"}[4m])) >= {threshold}",
    promql_for: "3m",
};

const FALLBACK_HIGH: Rule = Rule {
    title: "Degraded but functional",
    severity: Severity::Notice,
    meaning: "Many requests are answered by another target than the one asked for, or with a cached or canned answer.",
    what_to_do: "Users are served, perhaps by a lesser model, from farther away or with an old answer. See which alarm of the target went off before: that is the cause. Mind the cost and the quota of the target that serves now.",
    inputs: &[
        sum("fallbacks", table::FALLBACK_MODEL_INVOCATIONS),
        sum("degraded", table::DEGRADED_ANSWERS),
        sum("requests", table::REQUESTS),
    ],
    expression: "IF(FILL(requests, 0) >= 20, 100 * (FILL(fallbacks, 0) + FILL(degraded, 0)) / requests, 0)",
    comparison: Comparison::Above,
    threshold: 10.0,
    period: 900,
    evaluation_periods: 1,
    datapoints: 1,
    promql: "100 * (sum by (ModelId, Region) (increase(FallbackModelInvocations[15m])) + sum by (ModelId, Region) (increase(DegradedAnswers[15m]))) / (sum by (ModelId, Region) (increase(Requests[15m])) >= 20) > {threshold}",
    promql_for: "0m",
};
