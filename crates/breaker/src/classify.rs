use tower_bedrock_core::{Fault, FaultKind};

/// What a fault says about the health of the target it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The target is unwell: a consecutive failure, a failure in the window, a failed probe.
    Failure,
    /// The target cannot serve this call now, but isn't broken: a failure in the window and a failed
    /// probe. It neither adds to the consecutive failures nor ends a run of them.
    SoftFailure,
    /// It says nothing about the target: not counted, and a probe gives its place back.
    Ignore,
}

impl FaultClass {
    /// The default classification.
    ///
    /// | class | kinds | why |
    /// |---|---|---|
    /// | failure | 503, 500, 529, "model is overloaded", 408, 424, a failed stream, transport, timeout | the model or the way to it is not serving; fewer calls help |
    /// | soft failure | 429 of every quota, cold model, "too many connections", unknown | a quota speaks for its account and not for the model's health; and nothing is guessed about an unknown error |
    /// | ignored | 400, 401, 403, 404, an account's fixed quota; calls turned away on this side | the caller's mistake, or the target never saw the call |
    ///
    /// ```
    /// use tower_bedrock_breaker::FaultClass;
    /// use tower_bedrock_core::{Fault, FaultKind};
    ///
    /// let class = |kind| FaultClass::of(&Fault::new(kind));
    /// assert_eq!(class(FaultKind::Unavailable), FaultClass::Failure);
    /// assert_eq!(class(FaultKind::ThrottledTokens), FaultClass::SoftFailure);
    /// assert_eq!(class(FaultKind::Validation), FaultClass::Ignore);
    /// ```
    #[must_use]
    pub fn of(fault: &Fault) -> Self {
        match fault.kind() {
            kind if kind.is_callers_mistake() || kind.is_local() => Self::Ignore,
            kind if kind.is_throttle() => Self::SoftFailure,
            FaultKind::ModelNotReady | FaultKind::TooManyConnections | FaultKind::Unknown => {
                Self::SoftFailure
            }
            // Kinds that Bedrock may add are most likely new ways to fail.
            _ => Self::Failure,
        }
    }

    /// The [default classification](Self::of), but throttles are [ignored](Self::Ignore): for a breaker around a
    /// quota layer, which learns from each of them when the next call may be sent. A breaker that counts them as
    /// well stays open for long after a flood of them, when the quota has calls come in clusters
    /// (`cargo xtask experiment outage`).
    ///
    /// ```
    /// use tower_bedrock_breaker::{CircuitBreakerLayer, FaultClass};
    /// use tower_bedrock_core::{Fault, FaultKind};
    ///
    /// let class = |kind| FaultClass::ignoring_throttles(&Fault::new(kind));
    /// assert_eq!(class(FaultKind::ThrottledTokens), FaultClass::Ignore);
    /// assert_eq!(class(FaultKind::ModelNotReady), FaultClass::SoftFailure);
    ///
    /// let builder = CircuitBreakerLayer::builder().classify(FaultClass::ignoring_throttles);
    /// # builder.build()?;
    /// # Ok::<(), tower_bedrock_breaker::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn ignoring_throttles(fault: &Fault) -> Self {
        if fault.kind().is_throttle() {
            Self::Ignore
        } else {
            Self::of(fault)
        }
    }
}
