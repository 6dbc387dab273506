use tower_bedrock_core::{Fault, FaultKind};

/// Whether a fault leads to the next hop, by default.
///
/// | falls through | why |
/// |---|---|
/// | throttles that outlasted their retries | another model, Region or route has a quota of its own |
/// | tokens a day | another Region has a quota of its own: since September 2026 a day's is account- and Region-wide |
/// | overload, not ready, too many connections, 5xx | the trouble is the model's or the Region's |
/// | model timeouts and errors, transport errors, timeouts | the same |
/// | an open breaker, an exhausted quota, no headroom, a hop's deadline | known beforehand: falling before failing |
///
/// What the target that was asked for calls the caller's mistake (validation, access, unknown model, account quotas) is
/// the caller's to mend, and what is not recognised is not acted upon. Of an alternative it is no mistake of the
/// caller's, who asked for another model: one that takes less, or another form, or is closed to the account, is passed
/// over whatever this says, and the call ends with what went wrong elsewhere.
#[must_use]
pub fn falls_through(fault: &Fault) -> bool {
    let kind = fault.kind();
    !kind.is_callers_mistake() && kind != FaultKind::Unknown
}
