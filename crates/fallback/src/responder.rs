use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

/// Answers a call that no hop served. Implemented for `()`, which does not, and for any Tower service in a
/// [`Degraded`].
pub trait Responder<Request, Response> {
    /// The answer, or `None` where there is none to give.
    type Future: Future<Output = Option<Response>>;

    /// Whether it ever answers. Where it never does, the request is not kept for it.
    const ANSWERS: bool = true;

    /// Answers a call that was made with `request`.
    fn respond(&self, request: Request) -> Self::Future;
}

/// Does not answer.
impl<Request, Response> Responder<Request, Response> for () {
    type Future = Ready<Option<Response>>;

    const ANSWERS: bool = false;

    fn respond(&self, _: Request) -> Self::Future {
        ready(None)
    }
}

/// A Tower service as the last hop: a cached answer, a canned one.
///
/// It is asked with the request as the caller made it. Where it fails, the call ends with the error of the
/// last hop, not with the responder's.
#[derive(Clone)]
pub struct Degraded<S> {
    service: S,
}

impl<S> Degraded<S> {
    pub(crate) const fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S> fmt::Debug for Degraded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Degraded")
            .field("service", &format_args!("{}", std::any::type_name::<S>()))
            .finish()
    }
}

impl<S, Request> Responder<Request, S::Response> for Degraded<S>
where
    S: Service<Request> + Clone,
{
    type Future = DegradedFuture<S, Request>;

    fn respond(&self, request: Request) -> Self::Future {
        DegradedFuture {
            service: self.service.clone(),
            request: Some(request),
            call: None,
        }
    }
}

pin_project! {
    /// Waits for the responder to be ready, then for its answer.
    pub struct DegradedFuture<S: Service<Request>, Request> {
        service: S,
        request: Option<Request>,
        #[pin]
        call: Option<S::Future>,
    }
}

impl<S: Service<Request>, Request> Future for DegradedFuture<S, Request> {
    type Output = Option<S::Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.request.is_some() {
            if ready!(this.service.poll_ready(cx)).is_err() {
                *this.request = None;
                return Poll::Ready(None);
            }
            let call = this
                .request
                .take()
                .map(|request| this.service.call(request));
            this.call.set(call);
        }
        match this.call.as_pin_mut() {
            Some(call) => call.poll(cx).map(Result::ok),
            None => Poll::Ready(None),
        }
    }
}

impl<S: Service<Request>, Request> fmt::Debug for DegradedFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DegradedFuture").finish_non_exhaustive()
    }
}
