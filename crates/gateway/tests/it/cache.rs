//! Kept answers, as clients meet them.

use bedrock_gateway::config::{Config, Flags};
use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};

use crate::support::{
    Answer, BODY, CONVERSE, CONVERSE_STREAM, Fake, Running, eventually, frames, read,
};

/// One attempt a call, so that a failure is one.
const CACHE: &str = "[retry]\nmax_attempts = 1\n[cache]\n";

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello"}]}}}"#;

async fn fail(fake: &mut Fake) {
    let unavailable = [("x-amzn-errortype", "ServiceUnavailableException")];
    fake.call().await.answer(503, &unavailable, "{}").await;
}

async fn ask(gateway: &Running, path: &str, body: &'static str, cache_control: &str) -> Answer {
    let request = Request::post(path)
        .header("cache-control", cache_control)
        .body(Bytes::from_static(body.as_bytes()));
    gateway.send(request.unwrap()).await
}

#[tokio::test]
async fn a_kept_answer_stands_in_for_a_failed_call_and_says_so() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, CACHE).await;
    let (first, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        let id = [("x-amzn-requestid", "first")];
        fake.call().await.answer(200, &id, ANSWER).await;
    });
    assert_eq!(first.header("x-amzn-requestid"), "first");
    assert_eq!(first.header("x-tower-bedrock-degraded"), "");

    // The same question, written in another way.
    let same = r#"{ "messages": [{"content": [{"text": "Hi"}], "role": "user"}] }"#;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, same), fail(&mut fake));
    assert_eq!(
        (answer.status.as_u16(), &*answer.body),
        (200, ANSWER.as_bytes())
    );
    assert_eq!(answer.header("x-tower-bedrock-degraded"), "true");
    assert_eq!(answer.header("x-tower-bedrock-attempts"), "1");
    assert_eq!(answer.header("age"), "0");
    assert_ne!(answer.header("x-amzn-requestid"), "first");

    // Another question has no answer, and neither has this one with a guardrail.
    let other = r#"{"messages":[{"role":"user","content":[{"text":"Ho"}]}]}"#;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, other), fail(&mut fake));
    assert_eq!(answer.status, 503);
    let guarded = Request::post(CONVERSE)
        .header("x-amzn-bedrock-guardrailidentifier", "strict")
        .body(Bytes::from_static(BODY.as_bytes()));
    let (answer, ()) = tokio::join!(gateway.send(guarded.unwrap()), fail(&mut fake));
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn a_whole_stream_is_given_again_and_a_broken_one_is_not() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, CACHE).await;
    let whole = frames::Whole::converse();

    // Breaks off after its first content.
    let (response, call) = {
        let begun = [whole.opening.clone(), whole.content.clone()].concat();
        gateway.begin(&mut fake, CONVERSE_STREAM, &begun).await
    };
    call.reset();
    let _ = read(response).await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE_STREAM, BODY), fail(&mut fake));
    assert_eq!(answer.status, 503);

    // Ends with an exception.
    let (response, mut call) = {
        let begun = [whole.opening.clone(), whole.content.clone()].concat();
        gateway.begin(&mut fake, CONVERSE_STREAM, &begun).await
    };
    let exception = frames::exception("throttlingException", "Too many tokens");
    call.chunk(&exception).await;
    call.end_stream().await;
    let _ = read(response).await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE_STREAM, BODY), fail(&mut fake));
    assert_eq!(answer.status, 503);

    let (first, ()) = tokio::join!(gateway.post(CONVERSE_STREAM, BODY), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(whole.bytes()).await;
        call.end_stream().await;
    });
    assert_eq!(first.body, whole.bytes());
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE_STREAM, BODY), fail(&mut fake));
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &first.body));
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.amazon.eventstream"
    );
    assert_eq!(answer.header("x-tower-bedrock-degraded"), "true");
}

#[tokio::test]
async fn a_client_can_forbid_it() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(
        &fake,
        "[cache]\nfresh_for = \"1h\"\n[retry]\nmax_attempts = 1",
    )
    .await;
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(
            ask(&gateway, CONVERSE, BODY, "max-age=0, No-Store"),
            async {
                fake.call().await.answer(200, &[], ANSWER).await;
            }
        );
        assert_eq!(answer.status, 200);
    }
    // Nothing has been kept of those.
    let (answer, ()) = tokio::join!(ask(&gateway, CONVERSE, BODY, "max-age=0"), async {
        fake.call().await.answer(200, &[], ANSWER).await;
    });
    assert_eq!(answer.header("x-tower-bedrock-attempts"), "1");
    // Of this one it has.
    let answer = ask(&gateway, CONVERSE, BODY, "max-age=0").await;
    assert_eq!(answer.header("x-tower-bedrock-attempts"), "0");
    assert_eq!(answer.body, ANSWER);
    assert!(!fake.was_called());
}

#[tokio::test]
async fn what_takes_long_to_read_is_not_looked_up() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[cache]\nfresh_for = \"1h\"").await;
    let long = BODY.replacen("text\":\"", &format!("text\":\"{}", " ".repeat(1 << 20)), 1);
    assert!(long.len() > 1 << 20, "{BODY}");
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(gateway.post(CONVERSE, long.clone()), async {
            fake.call().await.answer(200, &[], ANSWER).await;
        });
        assert_eq!(answer.header("x-tower-bedrock-attempts"), "1");
    }
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_configured() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[retry]\nmax_attempts = 1").await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], ANSWER).await;
    });
    assert_eq!(answer.status, 200);
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), fail(&mut fake));
    assert_eq!(answer.status, 503);
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name() {
    let error = Config::parse("[cache]\nmax_bytes = 10", &Flags::default()).unwrap_err();
    let expected = "cache.max_bytes is 10: expected at least 1024";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_client_never_gets_anothers_answer() {
    let mut fake = Fake::new().await;
    let clients = ["a", "b"].map(|name| {
        let hash = hex::encode(Sha256::digest(name));
        format!("[[client]]\nname = {name:?}\nkey_sha256 = {hash:?}\n")
    });
    let gateway = Running::new(&fake, &[CACHE, &clients.concat()].concat()).await;
    let ask = async |key: &str| {
        let request = Request::post(CONVERSE).header("authorization", format!("Bearer {key}"));
        gateway.send(request.body(BODY.into()).unwrap()).await
    };
    let (answer, ()) = tokio::join!(ask("a"), async {
        fake.call().await.answer(200, &[], ANSWER).await;
    });
    assert_eq!(answer.status, 200);
    let (answer, ()) = tokio::join!(ask("b"), fail(&mut fake));
    assert_eq!(answer.status, 503);
    let (answer, ()) = tokio::join!(ask("a"), fail(&mut fake));
    assert_eq!(answer.header("x-tower-bedrock-degraded"), "true");
    assert_eq!(answer.body, ANSWER);
}

#[tokio::test]
async fn identical_calls_at_once_are_one_where_that_is_asked_for() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[retry]\n[cache]\nshare_in_flight = true\n").await;
    let post = || gateway.post(CONVERSE, BODY);
    let (first, second) = tokio::join!(post(), async {
        let call = fake.call().await;
        let taken = || gateway.handle.buffered_bytes();
        let of_one = taken();
        let (second, ()) = tokio::join!(post(), async {
            eventually("both are read", || taken() == 2 * of_one).await;
            // So that the second comes as far as it will.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            call.answer(200, &[], ANSWER).await;
        });
        second
    });
    assert_eq!([&first.body, &second.body], [ANSWER; 2]);
    let mut attempts = [&first, &second].map(|answer| answer.header("x-tower-bedrock-attempts"));
    attempts.sort_unstable();
    assert_eq!(attempts, ["0", "1"]);
    assert!(!fake.was_called());
}
