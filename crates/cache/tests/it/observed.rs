//! What an observer is told. (Of identical calls at once: `sharing.rs`.)

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::advance;
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt};
use tower_bedrock_cache::Observer;
use tower_bedrock_core::{Fault, FaultKind, Target};

use crate::support::{
    self, Log, Response, Script,
    Told::{Hit, Missed, StoodIn},
    ask, builder, call, layer, secs,
};

#[tokio::test(start_paused = true)]
async fn a_call_is_told_by_what_became_of_it() {
    let log = Log::default();
    let cache = layer(builder().fresh_for(secs(60)).observer(log.clone()));
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = cache.layer(script.service());
    ask(&mut service, call("hello")).await.unwrap();
    assert_eq!(log.told(), [Missed]);

    advance(secs(30)).await;
    ask(&mut service, call("hello")).await.unwrap();
    assert_eq!(log.told(), [Hit(secs(30))]);

    advance(secs(31)).await;
    ask(&mut service, call("hello")).await.unwrap();
    // One second for the call that failed.
    let stale = StoodIn(secs(62), Some(FaultKind::Unavailable));
    assert_eq!(log.told(), [Missed, stale]);

    // Nothing is kept that could stand in for this one, and this one is nobody's business.
    ask(&mut service, call("hi")).await.unwrap_err();
    assert_eq!(log.told(), [Missed]);
    ask(&mut service, call("secret")).await.unwrap_err();
    assert_eq!(log.told(), []);

    let responder = cache.responder::<Response>();
    responder.clone().oneshot(call("hi")).await.unwrap_err();
    assert_eq!(log.told(), []);
    responder.oneshot(call("hello")).await.unwrap();
    // Three calls have failed by now.
    assert_eq!(log.told(), [StoodIn(secs(64), None)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_was_missed_and_nothing_stood_in() {
    let log = Log::default();
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = layer(builder().observer(log.clone())).layer(script.service());
    ask(&mut service, call("hello")).await.unwrap();
    let mut failing = task::spawn(service.oneshot(call("hello")));
    assert_pending!(failing.poll());
    drop(failing);
    assert_eq!(log.told(), [Missed, Missed]);
}

/// Uses the cache that it observes.
#[derive(Clone, Default)]
struct Inside(Arc<(OnceLock<support::Layer>, AtomicBool)>);

impl Inside {
    fn told(&self) {
        let (cache, again) = &*self.0;
        // It is told of its own call, too.
        if !again.swap(true, Relaxed) {
            let cache = cache.get().unwrap();
            let script = Script::new(0, FaultKind::Unavailable);
            drop(task::spawn(cache.layer(script.service()).oneshot(call("hello"))).poll());
            drop(format!("{cache:?}"));
            again.store(false, Relaxed);
        }
    }
}

impl Observer for Inside {
    fn hit(&self, _: &Target, _: Duration) {
        self.told();
    }

    fn shared(&self, _: &Target) {
        self.told();
    }

    fn missed(&self, _: &Target) {
        self.told();
    }

    fn stood_in(&self, _: &Target, _: Duration, _: Option<Fault>) {
        self.told();
    }
}

/// Where one were held, this would not end.
#[tokio::test(start_paused = true)]
async fn it_is_told_with_no_lock_held() {
    let inside = Inside::default();
    let builder = builder().fresh_for(secs(60)).share_in_flight(true);
    let cache = layer(builder.observer(inside.clone()));
    assert!(inside.0.0.set(cache.clone()).is_ok());
    let script = Script::new(1, FaultKind::Unavailable);
    let service = cache.layer(script.service());
    let both = [(); 2].map(|()| tokio::spawn(service.clone().oneshot(call("hello"))));
    for shared in both {
        shared.await.unwrap().unwrap();
    }
    service.clone().oneshot(call("hello")).await.unwrap();
    advance(secs(61)).await;
    service.oneshot(call("hello")).await.unwrap();
    assert_eq!(script.calls(), 2);
}
