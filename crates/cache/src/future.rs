use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tower_bedrock_core::{HasFault, HasTarget, Target};
use tower_service::Service;

use crate::{
    Cacheable, Key,
    flights::{Flight, Lead, Part},
    layer::{Shared, is_genuine},
};

/// A follower's wait. Boxed, because it can't be named and few calls wait.
pub(crate) type Followed<V> = Pin<Box<dyn Future<Output = Flight<V>> + Send>>;

/// Waits for the end of a call that is under way, but not beyond one's own deadline.
pub(crate) fn followed<V: Clone + Send + Sync + 'static>(
    mut flight: watch::Receiver<Flight<V>>,
    deadline: Option<Instant>,
) -> Followed<V> {
    Box::pin(async move {
        let landed = flight.wait_for(|flight| matches!(flight, Flight::Landed(_)));
        let landed = match deadline {
            Some(deadline) => match timeout_at(deadline, landed).await {
                Ok(landed) => landed,
                // What stands inside says what becomes of a call at its deadline.
                Err(_) => return Flight::Landed(None),
            },
            None => landed.await,
        };
        landed.map_or(Flight::Underway, |flight| flight.clone())
    })
}

/// A call that is not made yet.
pub(crate) struct Asked<S, Request> {
    pub(crate) service: S,
    pub(crate) request: Request,
    pub(crate) key: Key,
}

/// As what an answer is kept.
struct Keeping<V> {
    key: Key,
    asked: Target,
    lead: Option<Lead<V>>,
}

pin_project! {
    /// The response of a [`Cache`](crate::Cache).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the call under way. Calls that waited for that one make it themselves.
    pub struct ResponseFuture<S, K, W, Request>
    where
        S: Service<Request>,
        S::Response: Cacheable,
    {
        shared: Arc<Shared<K, W, <S::Response as Cacheable>::Kept>>,
        #[pin]
        state: State<S, S::Future, S::Response, Request, <S::Response as Cacheable>::Kept>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, R, Request, V> {
        // Served without asking.
        Answered { answer: Option<R> },
        // The same call is under way.
        Following { asked: Option<Asked<S, Request>>, followed: Followed<V> },
        // It brought nothing: the service has to be ready.
        Readying { asked: Option<Asked<S, Request>>, lead: Option<Lead<V>> },
        // Asks. Without `keeping` the answer is nobody's business.
        Asking { #[pin] call: F, keeping: Option<Keeping<V>> },
    }
}

impl<S, K, W, Request> ResponseFuture<S, K, W, Request>
where
    S: Service<Request>,
    S::Response: Cacheable,
{
    pub(crate) const fn answered(
        shared: Arc<Shared<K, W, <S::Response as Cacheable>::Kept>>,
        answer: S::Response,
    ) -> Self {
        Self {
            shared,
            state: State::Answered {
                answer: Some(answer),
            },
        }
    }

    pub(crate) const fn passed_through(
        shared: Arc<Shared<K, W, <S::Response as Cacheable>::Kept>>,
        call: S::Future,
    ) -> Self {
        Self {
            shared,
            state: State::Asking {
                call,
                keeping: None,
            },
        }
    }

    pub(crate) const fn following(
        shared: Arc<Shared<K, W, <S::Response as Cacheable>::Kept>>,
        asked: Asked<S, Request>,
        followed: Followed<<S::Response as Cacheable>::Kept>,
    ) -> Self {
        Self {
            shared,
            state: State::Following {
                asked: Some(asked),
                followed,
            },
        }
    }

    pub(crate) const fn asking(
        shared: Arc<Shared<K, W, <S::Response as Cacheable>::Kept>>,
        call: S::Future,
        key: Key,
        asked: Target,
        lead: Option<Lead<<S::Response as Cacheable>::Kept>>,
    ) -> Self {
        Self {
            shared,
            state: State::Asking {
                call,
                keeping: Some(Keeping { key, asked, lead }),
            },
        }
    }
}

impl<S, K, W, Request> Future for ResponseFuture<S, K, W, Request>
where
    Request: HasTarget,
    S: Service<Request>,
    S::Response: Cacheable,
    S::Error: HasFault,
    K: Send + Sync + 'static,
    W: Fn(&<S::Response as Cacheable>::Kept) -> usize + Send + Sync + 'static,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Answered { answer } => {
                    return answer
                        .take()
                        .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                }
                StateProjection::Following {
                    asked,
                    followed: wait,
                } => {
                    let flight = ready!(wait.as_mut().poll(cx));
                    let Some(call) = asked.take() else {
                        return Poll::Pending;
                    };
                    let lead = match flight {
                        Flight::Landed(Some(kept)) => {
                            this.shared.observer.shared(call.request.target());
                            return Poll::Ready(Ok(S::Response::again(kept)));
                        }
                        Flight::Landed(None) => None,
                        // The caller who asked has gone away.
                        Flight::Underway => {
                            match this
                                .shared
                                .flights
                                .as_ref()
                                .map(|flights| flights.join(call.key))
                            {
                                Some(Part::Follow(flight)) => {
                                    let deadline = call.request.context().deadline();
                                    this.state.set(State::Following {
                                        asked: Some(call),
                                        followed: followed(flight, deadline),
                                    });
                                    continue;
                                }
                                Some(Part::Lead(lead)) => Some(lead),
                                None => None,
                            }
                        }
                    };
                    this.shared.observer.missed(call.request.target());
                    this.state.set(State::Readying {
                        asked: Some(call),
                        lead,
                    });
                }
                StateProjection::Readying { asked, lead } => {
                    let Some(call) = asked else {
                        return Poll::Pending;
                    };
                    let ready = ready!(call.service.poll_ready(cx));
                    let Some(Asked {
                        mut service,
                        request,
                        key,
                    }) = asked.take()
                    else {
                        return Poll::Pending;
                    };
                    let keeping = Keeping {
                        key,
                        asked: request.target().clone(),
                        lead: lead.take(),
                    };
                    if let Err(error) = ready {
                        return Poll::Ready(stand_in(this.shared, keeping, error));
                    }
                    let call = service.call(request);
                    this.state.set(State::Asking {
                        call,
                        keeping: Some(keeping),
                    });
                }
                StateProjection::Asking { call, keeping } => {
                    let result = ready!(call.poll(cx));
                    let Some(keeping) = keeping.take() else {
                        return Poll::Ready(result);
                    };
                    return Poll::Ready(match result {
                        Ok(answer) => Ok(keep(this.shared, keeping, answer)),
                        Err(error) => stand_in(this.shared, keeping, error),
                    });
                }
            }
        }
    }
}

/// Keeps an answer when it is whole, and shares it where that is at once.
fn keep<R, K, W>(shared: &Arc<Shared<K, W, R::Kept>>, keeping: Keeping<R::Kept>, answer: R) -> R
where
    R: Cacheable,
    K: Send + Sync + 'static,
    W: Fn(&R::Kept) -> usize + Send + Sync + 'static,
{
    let Keeping { key, asked, lead } = keeping;
    if !is_genuine(&asked, answer.history()) {
        if let Some(lead) = lead {
            lead.land(None);
        }
        return answer;
    }
    let shared = Arc::clone(shared);
    let Some(lead) = lead else {
        return answer.when_whole(move |kept| shared.keep(key, kept));
    };
    // Taken by whoever comes first: the answer, or the end of this function, where it is a stream.
    let lead = Arc::new(Mutex::new(Some(lead)));
    let shared_lead = Arc::clone(&lead);
    let answer = answer.when_whole(move |kept| {
        if let Some(lead) = shared_lead.lock().take() {
            lead.land(Some(kept.clone()));
        }
        shared.keep(key, kept);
    });
    if let Some(lead) = lead.lock().take() {
        lead.land(None);
    }
    answer
}

/// A kept answer in place of an error, with what has happened until then.
fn stand_in<R, K, W, E>(
    shared: &Shared<K, W, R::Kept>,
    keeping: Keeping<R::Kept>,
    error: E,
) -> Result<R, E>
where
    R: Cacheable,
    E: HasFault,
{
    if let Some(lead) = keeping.lead {
        lead.land(None);
    }
    let fault = error.fault();
    if !(shared.settings.stale_if)(&fault) {
        return Err(error);
    }
    let Some(mut answer) = shared.stale::<R>(&keeping.key, &keeping.asked, Some(fault)) else {
        return Err(error);
    };
    tracing::warn!(bedrock.target = %keeping.asked, %fault, "cache: a kept answer stands in");
    if let (Some(history), Some(before)) = (answer.history_mut(), error.history()) {
        history.attempts = before.attempts;
        history.gave_up = before.gave_up;
        history.failed_hops.clone_from(&before.failed_hops);
    }
    Ok(answer)
}

impl<S, K, W, Request> fmt::Debug for ResponseFuture<S, K, W, Request>
where
    S: Service<Request>,
    S::Response: Cacheable,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("cache::ResponseFuture")
            .finish_non_exhaustive()
    }
}
