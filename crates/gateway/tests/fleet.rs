//! Gateways that share a quota through a real redis-server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "../../quota/tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use more of it")]
mod redis_server;

use std::{fs, time::Duration};

use bedrock_gateway::config::{Config, Flags};
use redis_server::RedisServer;
use support::{BODY, CONVERSE, Fake, Running};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use tower_bedrock::quota::Level;

const QUOTA: u64 = 60;

fn sections(redis: &RedisServer) -> String {
    format!(
        r#"
        [[quota]]
        requests_per_minute = {QUOTA}
        [fleet]
        store = "{}"
        timeout = "5s"
        renew_every.least = "100ms"
        renew_every.most = "200ms"
        "#,
        redis.url()
    )
}

/// What a gateway lets through of the one quota that was called.
fn share(gateway: &Running) -> Option<u64> {
    let levels = gateway.handle.limiter().snapshots();
    levels.first()?.requests_per_minute.effective
}

/// Waits until it is so, for a minute at most.
async fn until(what: &str, gateways: &[&Running], holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        let shares: Vec<_> = gateways.iter().map(|gateway| share(gateway)).collect();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{what}: the shares are {shares:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_quota_is_for_both_and_for_the_one_that_is_left() {
    let redis = RedisServer::start();
    let fake = Fake::new().await;
    let mut first = Running::new(&fake, &sections(&redis)).await;
    let second = Running::new(&fake, &sections(&redis)).await;
    fake.answer_all();
    for gateway in [&first, &second] {
        for _ in 0..5 {
            assert_eq!(gateway.post(CONVERSE, BODY).await.status, 200);
        }
    }
    until("both have a part", &[&first, &second], || {
        let shares = [&first, &second].map(|gateway| share(gateway).unwrap_or(0));
        shares.iter().all(|share| (6..QUOTA - 5).contains(share))
            && shares.iter().sum::<u64>() <= QUOTA
    })
    .await;

    // It gives its part back, but for what it has used of this minute.
    first.stop();
    first.ended().await;
    let use_up = async {
        for _ in 5..QUOTA - 10 {
            assert_eq!(second.post(CONVERSE, BODY).await.status, 200);
        }
    };
    tokio::time::timeout(Duration::from_secs(50), use_up)
        .await
        .expect("all that is left of the quota is within reach");
}

#[tokio::test]
async fn another_configuration_stays_in_the_fleet() {
    let redis = RedisServer::start();
    let fake = Fake::new().await;
    let url = fake.url();
    let parse =
        |more: &str| Config::parse(&support::config(&url, more), &Flags::default()).unwrap();
    let gateway = Running::new(&fake, &sections(&redis)).await;
    fake.answer_all();
    assert_eq!(gateway.post(CONVERSE, BODY).await.status, 200);

    // Counted anew, but not beside the fleet.
    let burndown = sections(&redis).replace("[fleet]", "burndown = 7\n[fleet]");
    assert_eq!(gateway.handle.reload(parse(&burndown)).unwrap(), [""; 0]);
    assert_eq!(share(&gateway), None);
    assert_eq!(gateway.post(CONVERSE, BODY).await.status, 200);
    assert!(share(&gateway).is_some_and(|share| share < QUOTA));

    let other = sections(&redis).replace("\"5s\"", "\"4s\"");
    assert_eq!(gateway.handle.reload(parse(&other)).unwrap(), ["fleet"]);
    assert_eq!(gateway.handle.reload(parse("")).unwrap(), ["fleet"]);
}

#[tokio::test]
async fn the_password_is_read_from_a_file_and_never_shown() {
    let redis = RedisServer::start_with(&["--requirepass", "canary"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "canary\n").unwrap();
    let fake = Fake::new().await;
    let more = format!("{}password_file = {file:?}\n", sections(&redis));
    let config = Config::parse(&support::config(&fake.url(), &more), &Flags::default()).unwrap();
    assert!(!format!("{config:?}").contains(&redis.url()));
    let gateway = Running::new(&fake, &more).await;
    fake.answer_all();
    assert_eq!(gateway.post(CONVERSE, BODY).await.status, 200);
    // A safe share would be a quarter.
    until("it is leased", &[&gateway], || {
        share(&gateway).is_some_and(|share| share > QUOTA / 4)
    })
    .await;

    // A new password takes no restart, and connections that go by the old one may end.
    fs::write(&file, "second\n").unwrap();
    let mut admin = TcpStream::connect(("127.0.0.1", redis.port()))
        .await
        .unwrap();
    let commands =
        "AUTH canary\r\nCONFIG SET requirepass second\r\nCLIENT KILL TYPE normal\r\nQUIT\r\n";
    admin.write_all(commands.as_bytes()).await.unwrap();
    let mut replies = String::new();
    admin.read_to_string(&mut replies).await.unwrap();
    assert!(replies.starts_with("+OK\r\n+OK\r\n:"), "{replies}");
    let nova = "/model/us.amazon.nova-pro-v1%3A0/converse";
    assert_eq!(gateway.post(nova, BODY).await.status, 200);
    until("the other's is leased", &[&gateway], || {
        let levels = gateway.handle.limiter().snapshots();
        let leased = |level: &Level| level.effective.is_some_and(|share| share > QUOTA / 4);
        levels.len() == 2
            && levels
                .iter()
                .all(|quota| leased(&quota.requests_per_minute))
    })
    .await;
}
