//! The hops of one call: their pure order, put in terms of targets and requests.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Fault, FaultKind, HasDemand, HasTarget, Target};

use crate::{
    FallbackLayer, Rewrite,
    chain::Chain,
    itinerary::{Itinerary, Limits, Step},
};

pub(crate) struct Hops<W, R, Request> {
    pub(crate) layer: Arc<FallbackLayer<W, R>>,
    pub(crate) requested: Target,
    chain: Option<Arc<Chain>>,
    itinerary: Itinerary,
    pub(crate) deadline: Option<Instant>,
    /// As the caller made it; `None` once nothing can follow that would need it.
    request: Option<Request>,
    /// Whether the responder may be asked at the end.
    responder_answers: bool,
}

/// What is to be done next.
pub(crate) enum Decision<Request> {
    /// Leave a hop out, for the given reason, and ask again.
    PassOver(Target, Fault),
    /// The same, because the request cannot be made fit for it.
    Refuse(Target, Fault),
    /// Send the request to a hop, which may take until the given time.
    Try(Target, Request, Option<Instant>),
    /// Ask the responder.
    Respond(Request),
    /// The call has failed.
    GiveUp,
}

impl<W, R, Request: HasTarget> Hops<W, R, Request> {
    pub(crate) fn new(
        layer: Arc<FallbackLayer<W, R>>,
        request: Request,
        responder_answers: bool,
    ) -> Self {
        let requested = request.target().clone();
        let chain = layer.chains.of(requested.model()).cloned();
        Self {
            itinerary: match &chain {
                Some(chain) => {
                    Itinerary::new(chain.hops(), |hop| chain.is_repeated(hop, &requested))
                }
                None => Itinerary::new(1, |_| false),
            },
            deadline: request.context().deadline(),
            request: Some(request),
            layer,
            requested,
            chain,
            responder_answers,
        }
    }

    /// Whether there is anything to choose between.
    pub(crate) const fn has_choice(&self) -> bool {
        self.chain.is_some() || self.responder_answers
    }

    /// Tries no further hop.
    pub(crate) fn abandon(&mut self) {
        self.itinerary = Itinerary::new(0, |_| false);
    }

    fn target(&self, hop: usize) -> Target {
        match &self.chain {
            Some(chain) => chain.target(hop, &self.requested),
            None => self.requested.clone(),
        }
    }
}

impl<W, R, Request> Hops<W, R, Request>
where
    Request: HasTarget + HasDemand + Clone,
    W: Rewrite<Request>,
{
    pub(crate) fn decide(&mut self, now: Instant) -> Decision<Request> {
        let Some(request) = &self.request else {
            return Decision::GiveUp;
        };
        let limits = Limits {
            latency_budget: self.layer.latency_budget,
            time_left: self
                .deadline
                .map(|deadline| deadline.saturating_duration_since(now)),
        };
        let mut itinerary = self.itinerary;
        let step = itinerary.step(limits, |hop| match &self.layer.headroom {
            Some(headroom) if self.has_choice() => {
                headroom.time_to_serve(&self.target(hop), &request.demand(), request.context())
            }
            // Where there is no choice, the only hop's own policies say best what is wrong.
            _ => Duration::ZERO,
        });
        self.itinerary = itinerary;
        match step {
            Step::PassOver(hop, wait) => Decision::PassOver(self.target(hop), no_headroom(wait)),
            Step::Try(hop) => self.take(hop, now),
            Step::Exhausted => match self.request.take() {
                Some(request) if self.responder_answers => Decision::Respond(request),
                _ => Decision::GiveUp,
            },
        }
    }

    fn take(&mut self, hop: usize, now: Instant) -> Decision<Request> {
        let more_may_follow = self.itinerary.has_more() || self.responder_answers;
        let request = if more_may_follow {
            self.request.clone()
        } else {
            self.request.take()
        };
        let Some(mut request) = request else {
            return Decision::GiveUp;
        };
        let target = self.target(hop);
        if hop > 0 {
            request.set_target(target.clone());
            if let Err(fault) = self.layer.rewrite.rewrite(&mut request, &target) {
                return Decision::Refuse(target, fault);
            }
        }
        let timeout = self.chain.as_ref().and_then(|chain| chain.timeout());
        // A timeout too long to be a time is none.
        let until = timeout
            .filter(|_| more_may_follow)
            .and_then(|timeout| now.checked_add(timeout));
        if let (Some(until), Some(context)) = (until, request.context_mut()) {
            // What stands inside is not to plan for longer than the hop has.
            context.limit_deadline(until);
        }
        Decision::Try(target, request, until)
    }
}

fn no_headroom(wait: Duration) -> Fault {
    let fault = Fault::new(FaultKind::NoHeadroom);
    if wait < Duration::MAX {
        fault.with_retry_after(wait)
    } else {
        fault
    }
}
