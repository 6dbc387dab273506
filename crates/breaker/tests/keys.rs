//! One breaker for each key, bounded in number.

mod common;

use common::{CLAUDE, NOVA, Rig, call, target};
use tokio::time::{Duration, advance};
use tower::service_fn;
use tower_bedrock_breaker::{CircuitBreakerLayer, Open, State};
use tower_bedrock_core::{Answer, BoxError, Context, Fault, FaultKind, Invocation, Region, Target};
use tower_layer::Layer;
use tower_service::Service;

const MAX_KEYS: usize = 64;

fn invented(number: usize) -> String {
    format!("invented.model-{number}-v1:0")
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_invented_keys_neither_grows_the_registry_nor_closes_a_breaker() {
    let mut rig = Rig::with(CircuitBreakerLayer::builder().max_keys(MAX_KEYS));
    rig.trip(NOVA).await;
    rig.handle.force_open(&target(CLAUDE));
    let (_busy, _respond) = rig.start("meta.llama3-8b-instruct-v1:0").await;
    for number in 0..10_000 {
        rig.repeat(1, &invented(number), Err(FaultKind::Validation))
            .await;
    }
    let keys = rig.handle.snapshots();
    assert!(keys.len() <= MAX_KEYS, "{} keys", keys.len());
    assert_eq!(rig.state(NOVA), State::Open);
    assert_eq!(rig.state(CLAUDE), State::ForcedOpen);
    assert!(
        rig.handle
            .snapshot(&target("meta.llama3-8b-instruct-v1:0"))
            .is_some()
    );
    rig.refused(NOVA).await;
    rig.refused(CLAUDE).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_in_regular_use_keeps_its_window_through_a_flood() {
    let mut rig = Rig::with(CircuitBreakerLayer::builder().max_keys(MAX_KEYS));
    rig.repeat(4, NOVA, Err(FaultKind::Unavailable)).await;
    for number in 0..2_000 {
        rig.repeat(1, &invented(number), Err(FaultKind::Validation))
            .await;
        if number % 10 == 0 {
            rig.repeat(1, NOVA, Err(FaultKind::Validation)).await;
        }
    }
    let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
    assert_eq!(seen.consecutive_failures, 4);
}

/// An outage, and a client that names ever new models in it: every breaker opens.
async fn flooded_in_an_outage() -> Rig {
    let builder = CircuitBreakerLayer::builder()
        .max_keys(MAX_KEYS)
        .consecutive_failures(1);
    let mut rig = Rig::with(builder);
    for number in 0..1_000 {
        rig.repeat(1, &invented(number), Err(FaultKind::Unavailable))
            .await;
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn with_every_place_kept_further_keys_pass_without_a_breaker() {
    let mut rig = flooded_in_an_outage().await;
    let keys = rig.handle.snapshots();
    assert!(keys.len() <= MAX_KEYS, "{} keys", keys.len());
    assert!(keys.iter().all(|(_, seen)| seen.state == State::Open));
    rig.repeat(10, NOVA, Err(FaultKind::Unavailable)).await;
    assert_eq!(rig.handle.snapshot(&target(NOVA)), None);

    // What an operator says of a key is kept nevertheless, and what is said of all holds for all.
    rig.handle.force_open(&target(NOVA));
    rig.refused(NOVA).await;
    rig.handle.force_open_all();
    rig.refused(CLAUDE).await;
    rig.handle.close_all();
    rig.handle.reset(&target(NOVA));

    // Places come free with the open intervals.
    rig.trip(&invented(0)).await;
    advance(Duration::from_secs(60)).await;
    rig.trip(NOVA).await;
    rig.refused(NOVA).await;
}

/// Whichever keys have come by, and however they are spread within the cache, which is by chance.
#[tokio::test(start_paused = true)]
async fn after_an_outage_there_is_a_place_for_any_key() {
    for _ in 0..16 {
        let mut rig = flooded_in_an_outage().await;
        advance(Duration::from_secs(60)).await;
        rig.trip(NOVA).await;
        assert!(rig.handle.snapshots().len() <= MAX_KEYS);
    }
}

#[tokio::test(start_paused = true)]
async fn forced_open_for_all_holds_even_without_a_place() {
    let mut rig = Rig::with(CircuitBreakerLayer::builder().max_keys(MAX_KEYS));
    rig.handle.force_open_all();
    // Keys that an operator set apart from the rest are kept, however many.
    for number in 0..2 * MAX_KEYS {
        rig.handle.close(&target(&invented(number)));
    }
    rig.refused(NOVA).await;
    assert_eq!(rig.handle.snapshot(&target(NOVA)), None);
    rig.send(&invented(7), Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_key_can_be_chosen() {
    let per_region = |target: &Target, _: &Context| -> Region { target.region().clone() };
    let layer = CircuitBreakerLayer::builder_by(per_region).build().unwrap();
    let mut service = layer.layer(service_fn(|_: Invocation<&str>| async {
        Err::<Answer<&str>, BoxError>(Fault::new(FaultKind::Unavailable).into())
    }));
    for model in [NOVA, CLAUDE, NOVA, CLAUDE, NOVA] {
        let error = service.call(call(model)).await.unwrap_err();
        assert!(!error.is::<Open>());
    }
    assert!(service.call(call(CLAUDE)).await.unwrap_err().is::<Open>());
    let region: Region = "us-east-1".parse().unwrap();
    assert_eq!(layer.handle().state(&region), State::Open);

    let elsewhere = Target::parse("eu-west-1", NOVA).unwrap();
    let error = service
        .call(Invocation::new(elsewhere, "Hi."))
        .await
        .unwrap_err();
    assert!(!error.is::<Open>());
}

#[tokio::test(start_paused = true)]
async fn clones_of_the_service_and_services_of_the_layer_share_their_breakers() {
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(3)
        .build()
        .unwrap();
    let failing = service_fn(|_: Invocation<&str>| async {
        Err::<Answer<&str>, BoxError>(Fault::new(FaultKind::Unavailable).into())
    });
    let mut first = layer.layer(failing);
    let mut clone = first.clone();
    let mut other = layer.clone().layer(failing);
    for service in [&mut first, &mut clone, &mut other] {
        assert!(!service.call(call(NOVA)).await.unwrap_err().is::<Open>());
    }
    for service in [&mut first, &mut clone, &mut other] {
        assert!(service.call(call(NOVA)).await.unwrap_err().is::<Open>());
    }
    assert!(first.into_inner().call(call(NOVA)).await.is_err());
}

/// A service that goes from one key to another and back finds each as it left it.
#[tokio::test(start_paused = true)]
async fn what_a_service_remembers_of_its_last_key_is_not_taken_for_another() {
    let mut rig = Rig::new();
    rig.trip(NOVA).await;
    for _ in 0..3 {
        rig.send(CLAUDE, Ok(())).await.unwrap();
        rig.refused(NOVA).await;
    }
}
