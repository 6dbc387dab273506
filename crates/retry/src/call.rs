use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Fault, GaveUp, HasCompletion, HasFault, HasTarget, Target};
use tower_service::Service;

use crate::{Decision, Failure, Observer, Session, budget::Withdrawal, event, layer::Shared};

/// One call between its attempts: asks the session what to do and the budget whether it may, and keeps
/// what the next attempt needs.
pub(crate) struct Call<S, Req, O> {
    shared: Arc<Shared<O>>,
    session: Session,
    next: Next<S, Req>,
    /// The token of the retry that waits or is under way.
    withdrawal: Option<Withdrawal>,
    /// Attempts that failed, those that a policy further in counted included.
    failed_attempts: u32,
}

/// What is kept for another attempt.
enum Next<S, Req> {
    Attempt {
        service: S,
        request: Req,
    },
    /// The attempt under way is the last one: the request went with it.
    Nothing {
        target: Target,
    },
}

/// Why the next attempt is not made.
pub(crate) enum NoAttempt<E> {
    GaveUp(GaveUp),
    /// The service will not be ready any more.
    Error(E),
}

impl<S, Req, O> Call<S, Req, O>
where
    S: Service<Req>,
    Req: HasTarget + Clone,
    O: Observer,
{
    /// A call whose first attempt is about to be made. Keeps clones only where another one may follow.
    ///
    /// Inlined, as is the future's own constructor, so that they are cloned to where they stay.
    #[inline]
    pub(crate) fn new(shared: Arc<Shared<O>>, service: &S, request: &Req) -> Self
    where
        S: Clone,
    {
        let session = Session::new(&shared.policy, request.context().deadline(), Instant::now);
        let next = if shared.policy.max_attempts() > 1 {
            Next::Attempt {
                service: service.clone(),
                request: request.clone(),
            }
        } else {
            Next::Nothing {
                target: request.target().clone(),
            }
        };
        Self {
            shared,
            session,
            next,
            withdrawal: None,
            failed_attempts: 0,
        }
    }

    /// Decides what follows from an attempt's error. Tells everybody but the caller.
    pub(crate) fn attempt_failed(&mut self, error: &impl HasFault) -> Decision {
        let fault = error.fault();
        let inside = error.history().map_or(0, |history| history.attempts);
        self.failed_attempts = self.failed_attempts.saturating_add(inside.max(1));
        // The token stays spent: the attempt it paid for did no good.
        self.withdrawal = None;

        let now = Instant::now();
        let shared = &*self.shared;
        let target = self.next.target();
        let mut decision =
            self.session
                .decide(&shared.policy, target, fault, now, &mut &shared.random);
        if let (Decision::RetryIn(_), Some(budgets)) = (decision, &shared.budgets) {
            self.withdrawal = budgets.withdraw(target, now);
            if self.withdrawal.is_none() {
                decision = Decision::GiveUp(GaveUp::Budget);
            }
        }

        let failure = self.failure(fault);
        event::attempt_failed(&failure, decision);
        shared.observer.attempt_failed(&failure);
        match decision {
            Decision::RetryIn(delay) => shared.observer.will_retry(&failure, delay),
            Decision::GiveUp(why) => shared.observer.gave_up(&failure, why),
            Decision::Stop => {}
        }
        decision
    }

    /// Makes the next attempt as soon as the service is ready for it, unless it is too late by then.
    pub(crate) fn poll_attempt(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Future, NoAttempt<S::Error>>> {
        if let Next::Attempt { service, .. } = &mut self.next {
            ready!(service.poll_ready(cx)).map_err(NoAttempt::Error)?;
        }
        Poll::Ready(match self.time_left() {
            Some((Duration::ZERO, why)) => Err(NoAttempt::GaveUp(why)),
            _ => self
                .start_attempt()
                .ok_or(NoAttempt::GaveUp(GaveUp::MaxAttempts)),
        })
    }

    /// For how long the next attempt may still start, and what ends it.
    pub(crate) fn time_left(&self) -> Option<(Duration, GaveUp)> {
        self.session.time_left(&self.shared.policy, Instant::now())
    }

    /// The request is cloned only where yet another attempt may follow.
    fn start_attempt(&mut self) -> Option<S::Future> {
        let nothing = Next::Nothing {
            target: self.next.target().clone(),
        };
        let Next::Attempt {
            mut service,
            mut request,
        } = mem::replace(&mut self.next, nothing)
        else {
            return None;
        };
        self.session.begin_attempt();
        if let Some(withdrawal) = &mut self.withdrawal {
            withdrawal.spend();
        }
        let attempt = self.session.attempts();
        set_attempt(&mut request, attempt);
        if attempt >= self.shared.policy.max_attempts() {
            return Some(service.call(request));
        }
        let attempt = service.call(request.clone());
        self.next = Next::Attempt { service, request };
        Some(attempt)
    }

    /// The call was answered.
    pub(crate) fn answered(&mut self, response: &mut impl HasCompletion) {
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.give_back();
        }
        if let Some(budgets) = &self.shared.budgets {
            budgets.call_answered(self.next.target());
        }
        if let Some(history) = response.history_mut() {
            let last = history.attempts.max(1);
            history.attempts = self.failed_attempts.saturating_add(last);
        }
    }

    /// Tells that a retry that was decided on is not made.
    pub(crate) fn gave_up_waiting(&self, fault: Fault, why: GaveUp) {
        let failure = self.failure(fault);
        event::gave_up_waiting(&failure, why);
        self.shared.observer.gave_up(&failure, why);
    }

    /// The error that the caller gets.
    pub(crate) fn finish<E: HasFault>(&mut self, error: E, gave_up: Option<GaveUp>) -> E {
        self.withdrawal = None;
        error.update_history(|history| {
            history.attempts = self.failed_attempts;
            history.gave_up = gave_up.or(history.gave_up);
        })
    }

    fn failure(&self, fault: Fault) -> Failure<'_> {
        Failure {
            target: self.next.target(),
            fault,
            attempt: self.session.attempts(),
        }
    }
}

/// Tells those further in which attempt it is, where the request has a place for that.
pub(crate) fn set_attempt(request: &mut impl HasTarget, attempt: u32) {
    if let Some(context) = request.context_mut() {
        context.set_attempt(attempt);
    }
}

impl<S, Req: HasTarget> Next<S, Req> {
    fn target(&self) -> &Target {
        match self {
            Self::Attempt { request, .. } => request.target(),
            Self::Nothing { target } => target,
        }
    }
}
