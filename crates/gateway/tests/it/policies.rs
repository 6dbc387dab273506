//! The policies as a client meets them: what they do for a call, and what they tell of it.

use bytes::Bytes;
use http::Request;

use crate::support::{
    Answer, BODY, CONVERSE, CONVERSE_STREAM, Fake, MODEL, Running, frames, read, soon,
};

const AT_ONCE: &str = "[retry]\nmax_attempts = 3\nbase_delay = \"1ms\"\nmax_delay = \"1ms\"\n";
const UNAVAILABLE: [(&str, &str); 1] = [("x-amzn-errortype", "ServiceUnavailableException")];
const THROTTLED: [(&str, &str); 1] = [("x-amzn-errortype", "ThrottlingException")];

/// What a client is told beside the answer.
fn told(answer: &Answer) -> [&str; 4] {
    ["attempts", "model", "region", "degraded"]
        .map(|name| answer.header(&format!("x-tower-bedrock-{name}")))
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_and_counted() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
        fake.call().await.reset();
        let last = fake.call().await;
        assert_eq!(last.body, BODY.as_bytes());
        last.answer(200, &[], "{}").await;
    });
    assert_eq!(
        (answer.status.as_u16(), told(&answer)),
        (200, ["3", MODEL, "us-east-1", ""])
    );

    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        for _ in 0..3 {
            fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
        }
    });
    assert_eq!(
        (answer.status.as_u16(), told(&answer)),
        (503, ["3", "", "", ""])
    );
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_content_is_tried_again() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let whole = frames::Whole::converse();
    let (response, ()) = tokio::join!(gateway.open_stream(CONVERSE_STREAM), async {
        let mut first = fake.call().await;
        first.begin_stream().await;
        first.chunk(&whole.opening).await;
        first
            .chunk(frames::exception(
                "throttlingException",
                "Too many requests",
            ))
            .await;
        let mut second = fake.call().await;
        second.begin_stream().await;
        second.chunk(whole.bytes()).await;
        second.end_stream().await;
    });
    let answer = read(response).await.unwrap();
    assert_eq!(told(&answer), ["2", MODEL, "us-east-1", ""]);
    assert_eq!(
        answer.body,
        whole.bytes(),
        "nothing of the first is left in it"
    );
}

#[tokio::test]
async fn what_has_begun_is_never_tried_again() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let begun = frames::Whole::converse().begun();
    let (response, call) = gateway.begin(&mut fake, CONVERSE_STREAM, &begun).await;
    call.reset();
    assert!(read(response).await.is_err());
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_fallback_is_told_and_so_is_another_model() {
    let mut fake = Fake::new().await;
    let chain = format!(
        "[[fallback]]\nmodel = \"{MODEL}\"\nwithin = \"us\"\n\
         chain = [{{ region = \"us-west-2\" }}, {{ model = \"us.amazon.nova-pro-v1:0\" }}]\n"
    );
    let gateway = Running::new(&fake, &chain).await;
    let expected = [
        ["2", MODEL, "us-west-2", ""],
        ["3", "us.amazon.nova-pro-v1:0", "us-east-1", "true"],
    ];
    for (failures, expected) in (1..).zip(expected) {
        let (answer, path) = tokio::join!(gateway.post(CONVERSE, BODY), async {
            for _ in 0..failures {
                fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
            }
            let call = fake.call().await;
            let path = call.path.clone();
            call.answer(200, &[], "{}").await;
            path
        });
        assert_eq!(told(&answer), expected);
        let model = expected[1].replace(':', "%3A");
        assert_eq!(path, format!("/model/{model}/converse"));
    }
}

#[tokio::test]
async fn a_throttled_answer_says_when_to_come_back() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[[quota]]\nrequests_per_minute = 1\n").await;
    tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    // There is no room for another for a minute, and this one has no time to wait.
    let request = Request::post(CONVERSE).header("x-tower-bedrock-timeout", "1");
    let answer = gateway.send(request.body(BODY.into()).unwrap()).await;
    answer.error(429, "ThrottlingException");
    let after: u64 = answer.header("retry-after").parse().unwrap();
    // A minute, and what one call may be quicker than another.
    assert!((50..=61).contains(&after), "{after}");
    assert_eq!(told(&answer), ["0", "", "", ""]);
    // Counting tokens is free.
    let count = CONVERSE.replace("converse", "count-tokens");
    let (answer, ()) = tokio::join!(gateway.post(&count, BODY), async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn tokens_are_counted_for_the_model_that_was_asked_or_not_at_all() {
    let mut fake = Fake::new().await;
    let elsewhere = "[[quota]]\nrequests_per_minute = 1\n\
                     [[fallback]]\nchain = [{ model = \"us.amazon.nova-pro-v1:0\" }]\n";
    let gateway = Running::new(&fake, &format!("{AT_ONCE}{elsewhere}")).await;
    tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    // Another Converse would go to the other model now, which counts by a tokenizer of its own.
    let count = CONVERSE.replace("converse", "count-tokens");
    let (answer, path) = tokio::join!(gateway.post(&count, BODY), async {
        for _ in 0..2 {
            fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
        }
        let call = fake.call().await;
        let path = call.path.clone();
        call.answer(503, &UNAVAILABLE, "{}").await;
        path
    });
    assert_eq!((answer.status.as_u16(), path), (503, count));
    assert!(!fake.was_called());
}

#[tokio::test]
async fn what_bedrock_says_in_milliseconds_is_said_in_seconds_and_what_it_does_not_say_too() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (sent, expected) in [
        (&[("x-amz-retry-after", "1500")][..], "2"),
        (&[("retry-after", "7")], "7"),
        // It says nothing in practice.
        (&[], "60"),
    ] {
        let headers = [&THROTTLED[..], sent].concat();
        let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
            fake.call().await.answer(429, &headers, "{}").await;
        });
        assert_eq!(answer.header("retry-after"), expected);
    }
}

#[tokio::test]
async fn an_open_breaker_answers_at_once() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[breaker]\nconsecutive_failures = 2\n").await;
    for _ in 0..2 {
        tokio::join!(gateway.post(CONVERSE, BODY), async {
            fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
        });
    }
    let answer = gateway.post(CONVERSE, BODY).await;
    answer.error(503, "ServiceUnavailableException");
    let after: u64 = answer.header("retry-after").parse().unwrap();
    // A minute, and what one call may be quicker than another.
    assert!((50..=61).contains(&after), "{after}");
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_stream_has_so_long_for_its_first_content_and_then_all_the_time() {
    let mut fake = Fake::new().await;
    // Long enough for a slow machine to connect in.
    let gateway = Running::new(&fake, "[timeout]\nfirst_event = \"2s\"\n").await;
    let whole = frames::Whole::converse();
    let (begun, mut with_content) = gateway
        .begin(&mut fake, CONVERSE_STREAM, &whole.begun())
        .await;
    let (response, mut call) = gateway
        .begin(&mut fake, CONVERSE_STREAM, &whole.opening)
        .await;
    let answer = read(response).await.unwrap();
    answer.error(408, "ModelTimeoutException");
    assert_eq!(told(&answer), ["1", "", "", ""]);
    call.closed().await;

    // The one that had begun is older than that.
    with_content.chunk(&whole.closing).await;
    with_content.end_stream().await;
    assert_eq!(read(begun).await.unwrap().body, whole.bytes());
}

#[tokio::test]
async fn a_client_may_say_how_long_it_will_wait() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let request = |seconds: &'static str| {
        let request = Request::post(CONVERSE).header("x-tower-bedrock-timeout", seconds);
        request.body(Bytes::from_static(BODY.as_bytes())).unwrap()
    };
    let (answer, mut call) = tokio::join!(gateway.send(request("2")), async { fake.call().await });
    answer.error(408, "ModelTimeoutException");
    assert_eq!(told(&answer), ["1", "", "", ""]);
    assert_eq!(call.header("x-tower-bedrock-timeout"), "");
    call.closed().await;

    let message = gateway
        .send(request("soon"))
        .await
        .error(400, "ValidationException");
    assert!(message.contains("1 to 86400"), "{message}");
}

#[tokio::test]
async fn what_passes_through_is_left_alone() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let (answer, ()) = tokio::join!(gateway.post("/guardrail/g/version/1/apply", "{}"), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
    });
    assert_eq!(
        (answer.status.as_u16(), told(&answer)),
        (503, ["", "", "", ""])
    );
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_callers_mistake_is_not_tried_again() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, AT_ONCE).await;
    let headers = [("x-amzn-errortype", "ValidationException")];
    let (answer, ()) = tokio::join!(soon(gateway.post(CONVERSE, BODY)), async {
        fake.call()
            .await
            .answer(400, &headers, r#"{"message":"no"}"#)
            .await;
    });
    assert_eq!(
        (answer.status.as_u16(), told(&answer)),
        (400, ["1", "", "", ""])
    );
    assert!(!fake.was_called());
}
