//! Gateways that share a quota through a real redis-server.

use std::{fmt::Write as _, fs, process::Stdio, sync::Arc, time::Duration};

use bedrock_gateway::{
    Signer,
    config::{Config, Flags},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_bedrock::quota::Level;

use crate::{
    redis_server::RedisServer,
    support::{self, BODY, CONVERSE, Fake, MODEL, Running, Simulated},
};

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

/// Of the whole Region, whichever gateway is called.
#[tokio::test]
async fn a_days_tokens_are_for_both() {
    let redis = RedisServer::start();
    let fake = Fake::new().await;
    let daily = "tokens_per_day = 1_000";
    let more = sections(&redis).replace(&format!("requests_per_minute = {QUOTA}"), daily);
    let gateways = [
        Running::new(&fake, &more).await,
        Running::new(&fake, &more).await,
    ];
    fake.answer_all();
    let body = BODY.replacen('{', r#"{"inferenceConfig":{"maxTokens":40},"#, 1);
    let body = bytes::Bytes::from(body);
    let used = || {
        let used = |gateway: &Running| {
            let levels = gateway.handle.limiter().snapshots();
            levels.first().map_or(0, |level| level.tokens_per_day.used)
        };
        gateways.iter().map(used).sum::<u64>()
    };
    for number in 0..1_000 {
        let answer = gateways[number % 2].post(CONVERSE, body.clone()).await;
        assert!(used() <= 1_000, "{}", used());
        if answer.status != 200 {
            assert_eq!(answer.status, 429);
            break;
        }
    }
    assert!(used() > 900, "{}", used());
    for gateway in &gateways {
        assert_eq!(gateway.post(CONVERSE, body.clone()).await.status, 429);
    }
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

/// People want half of it, and a batch more than there is.
#[tokio::test]
async fn a_batch_has_what_a_gateway_leaves_of_one_quota() {
    const LIMIT: usize = 300;
    const PEOPLES: usize = LIMIT / 2;
    const OUTPUT: u64 = 77;
    let redis = RedisServer::start();
    let limit = format!("requests_per_minute = {LIMIT}");
    let others = "tokens_per_minute = \"none\"\ntokens_per_day = \"none\"\nwindow = \"sliding\"";
    let service = Simulated::new(&format!("{limit}\n{others}")).await;
    let sections = sections(&redis).replacen(&format!("requests_per_minute = {QUOTA}"), &limit, 1);
    let toml = support::config(&service.url(), &sections);
    let gateway = Arc::new(Running::start(&toml, Signer::nobody()).await);
    let mut people = JoinSet::new();
    for _ in 0..3 {
        let gateway = Arc::clone(&gateway);
        people.spawn(async move {
            for _ in 0..PEOPLES / 3 {
                // One that would wait for more than a minute is turned away.
                while gateway.post(CONVERSE, BODY).await.status != 200 {}
            }
        });
    }

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let records = (0..2 * LIMIT).fold(String::new(), |mut text, number| {
        let input = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"text":"Hi"}}]}}],"inferenceConfig":{{"maxTokens":{OUTPUT}}}}}"#
        );
        writeln!(text, r#"{{"recordId":"{number}","modelInput":{input}}}"#).unwrap();
        text
    });
    fs::write(path("in"), records).unwrap();
    fs::write(path("gateway.toml"), &toml).unwrap();
    let mut batch = Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"))
        .args(["--config", "gateway.toml", "batch", "in", "out"])
        .args(["--invocation-type", "Converse", "--model", MODEL])
        .current_dir(folder.path())
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();

    let counts = || {
        let calls = service.calls();
        let of_batch = |call: &&bedrock_sim::LedgerEntry| call.max_tokens == OUTPUT;
        let batch = calls.iter().filter(of_batch).count();
        let throttled = calls.iter().filter(|call| call.status == Some(429));
        (calls.len() - batch, batch, throttled.count())
    };
    // Until neither finds room any more.
    let (started, mut calm) = (Instant::now(), (0, Instant::now()));
    loop {
        let (people, batch, throttled) = counts();
        assert_eq!(throttled, 0, "of {people} and {batch}");
        if people + batch != calm.0 {
            calm = (people + batch, Instant::now());
        }
        let enough = people == PEOPLES && people + batch >= LIMIT * 7 / 10;
        if enough && calm.1.elapsed() > Duration::from_secs(1) {
            break;
        }
        let late = started.elapsed() > Duration::from_secs(180);
        assert!(!late, "{people} of people and {batch} of the batch");
        sleep(Duration::from_millis(20)).await;
    }
    // Those on their way too.
    batch.kill().await.unwrap();
    assert_eq!(people.join_all().await.len(), 3);
    assert_eq!(counts().2, 0);
}
