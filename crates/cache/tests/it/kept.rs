//! What is kept, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tower::{Layer, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Context, Degraded, Fault, FaultKind, HasCompletion, Target,
};

use crate::support::{Call, Response, Script, ask, builder, call, layer, secs};

#[tokio::test(start_paused = true)]
async fn no_answer_crosses_tenants_and_none_is_kept_that_a_request_forbids() {
    let tenant = |name| call("hello").with_context(Context::new().with_tenant(name));
    let script = Script::new(2, FaultKind::Unavailable);
    let mut service = layer(builder()).layer(script.service());
    ask(&mut service, tenant("a")).await.unwrap();
    ask(&mut service, call("secret")).await.unwrap();

    ask(&mut service, tenant("b")).await.unwrap_err();
    ask(&mut service, call("hello")).await.unwrap_err();
    ask(&mut service, call("secret")).await.unwrap_err();
    let answer = ask(&mut service, tenant("a")).await.unwrap();
    assert_eq!(answer.output(), "answer 0");
}

#[tokio::test]
async fn a_stand_in_is_not_kept() {
    let stand_ins: [fn(&mut Response); 2] = [
        |answer| answer.history_mut().unwrap().degraded = Some(Degraded::default()),
        |answer| {
            let other = Target::parse("us-east-1", "amazon.nova-pro-v1:0").unwrap();
            answer.history_mut().unwrap().served_by = Some(other);
        },
    ];
    for stand_in in stand_ins {
        let calls = Arc::new(AtomicU32::new(0));
        let inner = service_fn(move |_: Call| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut answer = Answer::new("hello".to_owned());
                stand_in(&mut answer);
                if number > 0 {
                    return Err(BoxError::from(Fault::new(FaultKind::Unavailable)));
                }
                Ok(answer)
            }
        });
        let mut service = layer(builder()).layer(inner);
        ask(&mut service, call("hello")).await.unwrap();
        ask(&mut service, call("hello")).await.unwrap_err();
    }
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    let echo =
        service_fn(
            |call: Call| async move { Ok::<_, BoxError>(Answer::new(call.input().repeat(100))) },
        );
    let cache = layer(builder().max_bytes(2_000).fresh_for(secs(60)));
    let mut service = cache.layer(echo);
    for prompt in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"] {
        ask(&mut service, call(prompt)).await.unwrap();
    }
    let shown = format!("{cache:?}");
    let held: u64 = shown
        .split_once("bytes: ")
        .and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .unwrap();
    assert!((1..=2_000).contains(&held), "{shown}");
    assert!(!shown.contains("aaaa"), "no answer is shown");

    cache.clear();
    assert!(format!("{cache:?}").contains("entries: 0"));
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name() {
    let error = builder().max_bytes(10).build::<String>().unwrap_err();
    assert_eq!(error.to_string(), "max_bytes is 10: expected at least 1024");
    let error = builder()
        .stale_for(Duration::MAX)
        .build::<String>()
        .unwrap_err();
    assert!(error.to_string().starts_with("stale_for is "), "{error}");
}
