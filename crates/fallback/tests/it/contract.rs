//! Tower's contract.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock_core::{Answer, Fault, FaultKind, HasTarget};
use tower_bedrock_fallback::FallbackLayer;

use crate::support::{Call, OnDrop, PRIMARY, SECOND, call, chain, fail, target};

#[tokio::test]
async fn every_hop_waits_for_readiness() {
    let (mock, mut handle) = tower_test::mock::pair::<Call, Answer<&'static str>>();
    let mut service = FallbackLayer::new([chain()]).unwrap().layer(mock);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(call()));
    assert_pending!(response.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.target(), &target(PRIMARY));
    handle.allow(0);
    respond.send_error(Fault::new(FaultKind::Unavailable));
    assert_pending!(response.poll());
    assert_pending!(
        task::spawn(handle.next_request()).poll(),
        "not called before it is ready"
    );
    handle.allow(1);
    assert_pending!(response.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.target(), &target(SECOND));
    respond.send_response(Answer::new("hi"));
    response.await.unwrap();
}

#[tokio::test]
async fn dropping_the_call_drops_the_hop_in_hand() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let dropped = Arc::clone(&dropped);
        service_fn(move |call: Call| {
            let dropped = Arc::clone(&dropped);
            async move {
                let model = call.target().model().to_string();
                if model == PRIMARY {
                    return fail(FaultKind::Unavailable);
                }
                let _guard = OnDrop(Some(move || dropped.lock().unwrap().push(model)));
                pending().await
            }
        })
    };
    let service = FallbackLayer::new([chain()]).unwrap().layer(inner);
    let mut response = task::spawn(service.oneshot(call()));
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(*dropped.lock().unwrap(), [SECOND]);
}
