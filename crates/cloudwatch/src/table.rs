//! Every metric in one place: layers emit from it, and documents, dashboards and alarms are made from it.

use metrics::Unit;

/// One metric: its name, what it counts, and how.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// The name. AWS's own where AWS/Bedrock has one.
    pub name: &'static str,
    /// What kind of metric it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// Its labels (CloudWatch: dimensions).
    pub labels: &'static [&'static str],
    /// What one of it means.
    pub description: &'static str,
}

/// The kinds of metric there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, of which percentiles are of interest.
    Histogram,
}

/// The namespace of an application's own metrics, as AWS's teaching material names it.
pub const NAMESPACE: &str = "GenAI/Application";

/// The label that names the model, by the id it was called with. AWS/Bedrock's own dimension.
pub const MODEL_ID: &str = "ModelId";
/// The label that names the Region called.
pub const REGION: &str = "Region";
/// The label that names the kind of fault.
pub const FAULT: &str = "Fault";
/// The label that names why a call was given up.
pub const CAUSE: &str = "Cause";
/// The label that names the state a circuit breaker entered.
pub const STATE: &str = "State";
/// The label that names why the quota turned a call away.
pub const REASON: &str = "Reason";
/// The label that names the way of calling a model that has a quota of its own.
pub const ROUTE: &str = "Route";
/// The label that names one limit of a quota.
pub const LIMIT: &str = "Limit";

const TARGET: &[&str] = &[MODEL_ID, REGION];
const TARGET_AND_FAULT: &[&str] = &[MODEL_ID, REGION, FAULT];
const TARGET_AND_CAUSE: &[&str] = &[MODEL_ID, REGION, CAUSE];
const TARGET_AND_STATE: &[&str] = &[MODEL_ID, REGION, STATE];
// Of a quota, the model is the base model: prefixes of inference profiles are its route.
const QUOTA: &[&str] = &[MODEL_ID, REGION, ROUTE];
const QUOTA_AND_LIMIT: &[&str] = &[MODEL_ID, REGION, ROUTE, LIMIT];
const QUOTA_AND_REASON: &[&str] = &[MODEL_ID, REGION, ROUTE, REASON];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $unit:ident, $labels:ident, $description:literal;)*) => {
        $(
            #[doc = $description]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: $labels,
                description: $description,
            };
        )*

        /// Every metric.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    // One attempt: a call that was sent to Bedrock.
    INVOCATIONS = "Invocations", Counter, Count, TARGET,
        "Attempts that Bedrock answered; a stream counts when it has ended whole.";
    INVOCATION_CLIENT_ERRORS = "InvocationClientErrors", Counter, Count, TARGET_AND_FAULT,
        "Attempts that failed through the caller's mistake (4xx, throttles aside).";
    INVOCATION_SERVER_ERRORS = "InvocationServerErrors", Counter, Count, TARGET_AND_FAULT,
        "Attempts that failed on Bedrock's side or on the way there.";
    INVOCATION_THROTTLES = "InvocationThrottles", Counter, Count, TARGET_AND_FAULT,
        "Attempts that Bedrock answered with 429, by flavour.";
    INVOCATION_LATENCY = "InvocationLatency", Histogram, Milliseconds, TARGET,
        "From sending an attempt to the last of its answer.";
    TIME_TO_FIRST_TOKEN = "TimeToFirstToken", Histogram, Milliseconds, TARGET,
        "From sending a streaming attempt to the first content of its answer.";
    INPUT_TOKEN_COUNT = "InputTokenCount", Counter, Count, TARGET,
        "Input tokens that touched no prompt cache.";
    OUTPUT_TOKEN_COUNT = "OutputTokenCount", Counter, Count, TARGET,
        "Output tokens.";
    CACHE_READ_INPUT_TOKEN_COUNT = "CacheReadInputTokenCount", Counter, Count, TARGET,
        "Input tokens read from the prompt cache.";
    CACHE_WRITE_INPUT_TOKEN_COUNT = "CacheWriteInputTokenCount", Counter, Count, TARGET,
        "Input tokens written to the prompt cache.";
    CANCELLED_INVOCATIONS = "CancelledInvocations", Counter, Count, TARGET,
        "Attempts whose caller went away before the end: dropped futures and dropped streams.";

    // One request: what the application asked for, whatever became of it on the way.
    REQUESTS = "Requests", Counter, Count, TARGET,
        "Requests that ended, well or not.";
    REQUEST_ERRORS = "RequestErrors", Counter, Count, TARGET_AND_FAULT,
        "Requests that ended with an error, after all retries and fallbacks.";
    REQUEST_LATENCY = "RequestLatency", Histogram, Milliseconds, TARGET,
        "From a request to the last of its answer, waits and retries included.";
    RETRIES = "Retries", Counter, Count, TARGET,
        "Attempts beyond the first of each hop.";
    GIVE_UPS = "GiveUps", Counter, Count, TARGET_AND_CAUSE,
        "Requests that could have been tried again but were not, by cause.";
    FALLBACK_MODEL_INVOCATIONS = "FallbackModelInvocations", Counter, Count, TARGET,
        "Requests that another target served than the one asked for; labelled with the target asked for.";
    DEGRADED_ANSWERS = "DegradedAnswers", Counter, Count, TARGET,
        "Requests answered with a cached or canned answer because all else had failed; not among RequestErrors.";
    CANCELLED_REQUESTS = "CancelledRequests", Counter, Count, TARGET,
        "Requests whose caller went away before the end.";

    // What policies did on the way.
    RETRY_DELAY = "RetryDelay", Histogram, Milliseconds, TARGET,
        "Waits before attempts beyond the first.";
    CIRCUIT_BREAKER_STATE = "CircuitBreakerState", Gauge, Count, TARGET,
        "0 where calls pass, 1 where probes may, 2 where calls are turned away.";
    CIRCUIT_BREAKER_TRANSITIONS = "CircuitBreakerTransitions", Counter, Count, TARGET_AND_STATE,
        "Changes of a circuit breaker's state, by the state it entered.";
    CACHE_HITS = "CacheHits", Counter, Count, TARGET,
        "Calls that a cache answered without asking, with a kept answer that was fresh enough.";
    CACHE_SHARED_ANSWERS = "CacheSharedAnswers", Counter, Count, TARGET,
        "Calls that a cache answered with the answer of an identical one that was under way.";
    CACHE_MISSES = "CacheMisses", Counter, Count, TARGET,
        "Calls that a cache had to ask for; those whose answers are not to be kept do not count.";
    QUOTA_UTILIZATION = "QuotaUtilization", Gauge, Percent, QUOTA_AND_LIMIT,
        "Used of a limit, reservations included; the limit is the one kept now, lower after throttles.";
    QUOTA_DEBT = "QuotaDebt", Gauge, Count, QUOTA,
        "Tokens used beyond the tokens a minute and still to be worked off.";
    QUOTA_WAIT = "QuotaWait", Histogram, Milliseconds, QUOTA,
        "How long calls that were let through had waited for their quota.";
    QUOTA_WAITING = "QuotaWaiting", Gauge, Count, QUOTA,
        "Calls that wait for their quota.";
    QUOTA_CALLS_IN_FLIGHT = "QuotaCallsInFlight", Gauge, Count, QUOTA,
        "Calls that the quota let through and that have not ended.";
    QUOTA_TOKENS_RESERVED = "QuotaTokensReserved", Gauge, Count, QUOTA,
        "What calls in flight have reserved.";
    QUOTA_REFUSALS = "QuotaRefusals", Counter, Count, QUOTA_AND_REASON,
        "Calls that the quota turned away.";
    QUOTA_THROTTLES = "QuotaThrottles", Counter, Count, QUOTA,
        "Calls that the quota let through and Bedrock throttled.";
    QUOTA_STORE_LOST = "QuotaStoreLost", Gauge, Count, QUOTA,
        "1 while the store does not answer through which processes share the quota, and this one keeps to a safe share of it.";
    QUOTA_ESTIMATE_ERROR = "QuotaEstimateError", Histogram, Percent, QUOTA,
        "How far what was reserved was from what the call cost, either way, as a share of the cost.";
}
