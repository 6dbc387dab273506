use tower_bedrock_core::{Fault, FaultKind};

/// Whether a fault leads to the next hop, by default.
///
/// | falls through | why |
/// |---|---|
/// | throttles that outlasted their retries, tokens a day | another model, Region or route has a quota of its own |
/// | overload, not ready, too many connections, 5xx | the trouble is the model's or the Region's |
/// | model timeouts and errors, transport errors, timeouts | the same |
/// | an open breaker, an exhausted quota, no headroom, a hop's deadline | known beforehand: falling before failing |
///
/// The caller's mistakes (validation, access, unknown model, account quotas) are the same everywhere, and what
/// is not recognised is not acted upon.
#[must_use]
pub fn falls_through(fault: &Fault) -> bool {
    let kind = fault.kind();
    !kind.is_callers_mistake() && kind != FaultKind::Unknown
}
