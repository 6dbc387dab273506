//! Another configuration while the gateway runs.

use bedrock_gateway::config::{Config, Flags};
use http::Request;
use sha2::{Digest, Sha256};

use crate::support::{self, BODY, CONVERSE, CONVERSE_STREAM, Fake, Running, frames, read};

const UNAVAILABLE: [(&str, &str); 1] = [("x-amzn-errortype", "ServiceUnavailableException")];

fn parse(fake: &Fake, more: &str) -> Config {
    Config::parse(&support::config(&fake.url(), more), &Flags::default()).unwrap()
}

#[tokio::test]
async fn calls_from_now_on_go_by_it_and_streams_go_on() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let whole = frames::Whole::converse();
    let (response, mut call) = gateway
        .begin(&mut fake, CONVERSE_STREAM, &whole.begun())
        .await;

    let retry = "[retry]\nmax_attempts = 2\nbase_delay = \"1ms\"\nmax_delay = \"1ms\"\n";
    assert!(
        gateway
            .handle
            .reload(parse(&fake, retry))
            .unwrap()
            .is_empty()
    );
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
        fake.call().await.answer(200, &[], "{}").await;
    });
    assert_eq!(answer.header("x-tower-bedrock-attempts"), "2");

    call.chunk(&whole.closing).await;
    call.end_stream().await;
    assert_eq!(read(response).await.unwrap().body, whole.bytes());
}

#[tokio::test]
async fn a_call_ends_by_the_policies_it_began_with() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        let call = fake.call().await;
        let retry = "[retry]\nbase_delay = \"1ms\"\n";
        gateway.handle.reload(parse(&fake, retry)).unwrap();
        call.answer(503, &UNAVAILABLE, "{}").await;
    });
    assert_eq!(answer.header("x-tower-bedrock-attempts"), "1");
}

#[tokio::test]
async fn what_has_not_changed_keeps_its_state() {
    const BREAKER: &str = "[breaker]\nconsecutive_failures = 1\n";
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, BREAKER).await;
    tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
    });
    let more = format!("{BREAKER}[timeout]\nattempt = \"7s\"\n");
    gateway.handle.reload(parse(&fake, &more)).unwrap();
    gateway
        .post(CONVERSE, BODY)
        .await
        .error(503, "ServiceUnavailableException");
    assert!(!fake.was_called(), "the breaker is still open");

    gateway.handle.reload(parse(&fake, "")).unwrap();
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn clients_come_and_go() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let client = |key: &str| {
        let hash = hex::encode(Sha256::digest(key));
        format!("[[client]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n")
    };
    gateway.handle.reload(parse(&fake, &client("one"))).unwrap();
    gateway
        .post(CONVERSE, BODY)
        .await
        .error(403, "AccessDeniedException");
    gateway.handle.reload(parse(&fake, &client("two"))).unwrap();
    for (key, status) in [("one", 403), ("two", 200)] {
        let request = Request::post(CONVERSE).header("authorization", format!("Bearer {key}"));
        let request = request.body(BODY.into()).unwrap();
        let answer = async { gateway.send(request).await.status.as_u16() };
        let serve = async {
            if status == 200 {
                fake.call().await.answer(200, &[], "{}").await;
            }
        };
        assert_eq!(tokio::join!(answer, serve).0, status, "{key}");
    }
}

#[tokio::test]
async fn what_takes_a_restart_is_named_and_left() {
    let fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let more = "[server]\nmax_connections = 7\n";
    let mut config = parse(&fake, more);
    assert_eq!(gateway.handle.reload(config.clone()).unwrap(), ["server"]);
    config.listen = "127.0.0.1:1".parse().unwrap();
    config.upstream = Config::parse("", &Flags::default()).unwrap().upstream;
    assert_eq!(
        gateway.handle.reload(config).unwrap(),
        ["listen", "upstream", "server"]
    );
}

#[tokio::test]
async fn a_listener_that_all_can_reach_keeps_its_clients() {
    let fake = Fake::new().await;
    let hash = "0".repeat(64);
    let client = format!("[[client]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n");
    let open = support::config(&fake.url(), &client).replace("127.0.0.1:0", "0.0.0.0:0");
    let gateway = Running::start(&open, bedrock_gateway::Signer::nobody()).await;
    // The file alone would do: it names a loopback address, but that is not where the gateway listens.
    let error = gateway.handle.reload(parse(&fake, "")).unwrap_err();
    assert!(error.to_string().contains("[[client]]"), "{error}");
    let answer = gateway.post(CONVERSE, BODY).await;
    answer.error(403, "AccessDeniedException");
}
