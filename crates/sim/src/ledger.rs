use serde::Serialize;

/// What the ledger remembers of one call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerEntry {
    /// Its number, from 0 on.
    pub seq: u64,
    /// When it came, in simulated milliseconds since the simulator's start.
    pub at_ms: u64,
    /// When it was over; null while it is under way.
    pub ended_ms: Option<u64>,
    /// The model id as called.
    pub model: String,
    /// The Region called.
    pub region: String,
    /// The operation's name.
    pub operation: String,
    /// `in_flight`, `ok`, `dropped`, or the kind of fault as [`FaultKind`](tower_bedrock_core::FaultKind)
    /// names it.
    pub outcome: &'static str,
    /// The id of the scripted fault behind it.
    pub fault: Option<u64>,
    /// The HTTP status; null where the connection was cut before one.
    pub status: Option<u16>,
    /// Input tokens, prompt cache included.
    pub input_tokens: u64,
    /// `max_tokens`, the model's own maximum where the request set none.
    pub max_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Tokens of quota reserved at admission.
    pub reserved: u64,
    /// Tokens of quota it cost in the end.
    pub settled: u64,
    /// The quotas after it.
    pub quotas: QuotaLevels,
}

/// How full the quotas of one key are; `None` where there is no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuotaLevels {
    /// Requests a minute.
    pub requests_per_minute: Option<QuotaLevel>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<QuotaLevel>,
    /// Tokens a day of the model.
    pub tokens_per_day: Option<QuotaLevel>,
    /// Tokens a day of the Region, across models.
    pub region_tokens_per_day: Option<QuotaLevel>,
}

/// How full one quota is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaLevel {
    /// What counts against the limit. More than the limit is debt.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

/// The ledger, as `GET /_sim/ledger` answers it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// The calls remembered, the oldest first.
    pub entries: Vec<LedgerEntry>,
    /// How many older ones were forgotten.
    pub forgotten: u64,
}
