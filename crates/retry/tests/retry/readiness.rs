//! No retry into a service that is not ready.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, HasCompletion, HasFault};
use tower_bedrock_retry::Policy;

use crate::common::{End, Request, Response, end, every, failed_once, layer, request, secs};

#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_service_is_ready() {
    let (mut call, mut handle) = failed_once(&every(secs(1)), request()).await;
    tokio::time::advance(secs(60)).await;
    assert_pending!(call.poll());
    assert!(task::spawn(handle.next_request()).poll().is_pending());

    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(Answer::new("answer"));
    assert_eq!(assert_ready_ok!(call.poll()).history().unwrap().attempts, 2);
}

/// As ConcurrencyLimit's permit is: a clone does not inherit it.
#[derive(Debug, Default)]
struct NeedsReadiness {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for NeedsReadiness {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request> for NeedsReadiness {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        ready(match calls {
            0..=2 => Err(Fault::new(FaultKind::Transport).into()),
            _ => Ok(Answer::new("answer")),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_made_by_an_instance_that_was_polled_ready() {
    let service = layer(Policy::default()).layer(NeedsReadiness::default());
    let end = end(service.oneshot(request()).await);
    assert_eq!(end, End::Answered { attempts: 4 });
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_ends_the_call() {
    let (mut call, mut handle) = failed_once(&every(secs(1)), request()).await;
    handle.send_error(Fault::new(FaultKind::Transport));
    tokio::time::advance(secs(1)).await;
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(error.history().unwrap().attempts, 1);
    assert_eq!(error.history().unwrap().gave_up, None);
}
