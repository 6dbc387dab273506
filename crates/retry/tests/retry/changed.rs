//! A service that is changed from outside is changed for every attempt.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use tower::{Layer, Service, ServiceExt};
use tower_bedrock_core::{BoxError, Fault, FaultKind, HasTarget};
use tower_bedrock_retry::Policy;

use crate::common::{Request, Response, layer, request};

/// Fails the first attempt, and answers the second with its name.
#[derive(Clone)]
struct Named(&'static str);

impl Service<Request> for Named {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(if request.context().attempt() == Some(1) {
            Err(Fault::new(FaultKind::Unavailable).into())
        } else {
            Ok(Response::new(self.0))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_made_with_the_service_as_it_is() {
    let mut service = layer(Policy::default()).layer(Named("before"));
    let answer = service.ready().await.unwrap().call(request()).await;
    assert_eq!(*answer.unwrap().output(), "before");

    let other = service.clone();
    *service.get_mut() = Named("after");
    // Clones keep what was changed, and those made before what was not.
    let answers = [service.clone(), service, other].map(|service| service.oneshot(request()));
    for (answer, expected) in answers.into_iter().zip(["after", "after", "before"]) {
        assert_eq!(*answer.await.unwrap().output(), expected);
    }
}
