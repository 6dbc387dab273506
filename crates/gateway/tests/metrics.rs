//! What Prometheus reads. Tests of a file share a process, and so its recorder: each has a model of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bedrock_gateway::{
    Gateway, Signer,
    config::{Config, Flags},
};
use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};
use support::{Answer, Fake, Running, frames, read};

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
const KEY: &str = "canary-key";
const USAGE: &str = r#"{"usage":{"inputTokens":3,"outputTokens":5},"output":"canary-answer"}"#;
const UNAVAILABLE: [(&str, &str); 1] = [("x-amzn-errortype", "ServiceUnavailableException")];

fn converse(model: &str) -> String {
    format!("/model/{model}/converse")
}

async fn scrape(gateway: &Running) -> Answer {
    let request = Request::get("/metrics").body(Bytes::new()).unwrap();
    let address = gateway.metrics_address.unwrap();
    read(support::open(address, request).await).await.unwrap()
}

/// The values of a metric, of the series that have all these labels.
fn values(text: &str, metric: &str, labels: &[&str]) -> Vec<f64> {
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(metric))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn calls_are_counted_by_model_and_nothing_is_told_of_what_they_say() {
    const MODEL: &str = "amazon.nova-lite-v1";
    let mut fake = Fake::new().await;
    let hash = hex::encode(Sha256::digest(KEY));
    let more = format!(
        "{METRICS}[[client]]\nname = \"canary-client\"\nkey_sha256 = \"{hash}\"\n\
         [retry]\nmax_attempts = 2\nbase_delay = \"1ms\"\nmax_delay = \"1ms\"\n\
         [breaker]\nconsecutive_failures = 3\n[[quota]]\nrequests_per_minute = 10\n"
    );
    let gateway = Running::new(&fake, &more).await;
    let post = |path: String| {
        let body = r#"{"messages":[{"content":[{"text":"canary-prompt"}]}]}"#;
        let request = Request::post(path).header("authorization", format!("Bearer {KEY}"));
        gateway.send(request.body(body.into()).unwrap())
    };
    tokio::join!(post(converse(MODEL)), async {
        fake.call().await.answer(503, &UNAVAILABLE, "canary").await;
        fake.call().await.answer(200, &[], USAGE).await;
    });
    tokio::join!(post(format!("/model/{MODEL}/converse-stream")), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(frames::Whole::converse().bytes()).await;
        call.end_stream().await;
    });
    tokio::join!(post(converse(MODEL)), async {
        for _ in 0..2 {
            fake.call().await.answer(503, &UNAVAILABLE, "canary").await;
        }
    });

    let answer = scrape(&gateway).await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text();
    let target = [r#"ModelId="amazon.nova-lite-v1""#, r#"Region="us-east-1""#];
    for (metric, count) in [
        ("Requests", 3.0),
        ("Invocations", 2.0),
        ("InvocationServerErrors", 3.0),
        ("RequestErrors", 1.0),
        ("Retries", 2.0),
        ("InputTokenCount", 6.0),
        ("OutputTokenCount", 10.0),
        ("RequestLatency_count", 2.0),
        ("TimeToFirstToken_count", 1.0),
    ] {
        assert_eq!(values(text, metric, &target), [count], "{metric}: {text}");
    }
    // What Bedrock did not serve is given back.
    let requests = [target[0], target[1], r#"Limit="requests_per_minute""#];
    assert_eq!(
        values(text, "QuotaUtilization", &requests),
        [20.0],
        "{text}"
    );
    for line in [
        "# TYPE Requests counter",
        "# TYPE QuotaUtilization gauge",
        "# HELP Requests ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn the_breaker_and_a_quota_that_came_by_a_reload_are_there() {
    const MODEL: &str = "amazon.nova-micro-v1";
    let mut fake = Fake::new().await;
    let breaker = format!("{METRICS}[breaker]\nconsecutive_failures = 1\n");
    let gateway = Running::new(&fake, &breaker).await;
    let quota = "[[quota]]\nmodel = \"amazon.nova-micro-*\"\nrequests_per_minute = 4\n";
    let toml = support::config(&fake.url(), &format!("{breaker}{quota}"));
    let config = Config::parse(&toml, &Flags::default()).unwrap();
    assert!(gateway.handle.reload(config).unwrap().is_empty());
    let path = converse(MODEL);
    tokio::join!(gateway.post(&path, support::BODY), async {
        fake.call().await.answer(200, &[], USAGE).await;
    });
    tokio::join!(gateway.post(&path, support::BODY), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
    });
    let answer = scrape(&gateway).await;
    let model = r#"ModelId="amazon.nova-micro-v1""#;
    let state = values(answer.text(), "CircuitBreakerState", &[model]);
    assert_eq!(state, [2.0], "{}", answer.text());
    let limit = r#"Limit="requests_per_minute""#;
    let level = values(answer.text(), "QuotaUtilization", &[model, limit]);
    assert_eq!(level, [25.0], "{}", answer.text());

    // It goes as it came.
    let config = support::config(&fake.url(), &breaker);
    let config = Config::parse(&config, &Flags::default()).unwrap();
    gateway.handle.reload(config).unwrap();
    let answer = scrape(&gateway).await;
    let level = values(answer.text(), "QuotaUtilization", &[model, limit]);
    assert_eq!(level, [0.0], "{}", answer.text());
}

#[tokio::test]
async fn what_the_cache_does_is_there_and_an_outage_that_it_bridges_is_no_error() {
    const MODEL: &str = "amazon.nova-canvas-v1";
    let mut fake = Fake::new().await;
    let cache = format!("{METRICS}[retry]\nmax_attempts = 1\n[cache]\n");
    let gateway = Running::new(&fake, &format!("{cache}fresh_for = \"1h\"\n")).await;
    let path = converse(MODEL);
    tokio::join!(gateway.post(&path, support::BODY), async {
        fake.call().await.answer(200, &[], USAGE).await;
    });
    let hit = gateway.post(&path, support::BODY).await;
    assert_eq!(hit.header("x-tower-bedrock-attempts"), "0");

    // From now on only what is stale is given, and nothing is kept yet.
    let toml = support::config(&fake.url(), &cache);
    let config = Config::parse(&toml, &Flags::default()).unwrap();
    assert!(gateway.handle.reload(config).unwrap().is_empty());
    tokio::join!(gateway.post(&path, support::BODY), async {
        fake.call().await.answer(200, &[], USAGE).await;
    });
    let (stale, ()) = tokio::join!(gateway.post(&path, support::BODY), async {
        fake.call().await.answer(503, &UNAVAILABLE, "{}").await;
    });
    assert_eq!(stale.header("x-tower-bedrock-degraded"), "true");

    let answer = scrape(&gateway).await;
    let model = [
        r#"ModelId="amazon.nova-canvas-v1""#,
        r#"Region="us-east-1""#,
    ];
    for (metric, count) in [
        ("CacheHits", 1.0),
        ("CacheMisses", 3.0),
        ("CacheSharedAnswers", 0.0),
        ("DegradedAnswers", 1.0),
        ("Requests", 4.0),
        ("RequestErrors", 0.0),
        ("Invocations", 2.0),
        ("InvocationServerErrors", 1.0),
    ] {
        let counted: f64 = values(answer.text(), metric, &model).iter().sum();
        assert_eq!(counted, count, "{metric}: {}", answer.text());
    }
}

/// Labels are bounded, and clients name what models they like.
#[tokio::test]
async fn models_of_the_configuration_have_their_own_labels_whoever_calls_first() {
    const MODEL: &str = "amazon.nova-premier-v1";
    const LITTLE: &str = "us.amazon.nova-pro-v2";
    let fake = Fake::new().await;
    let url = fake.url();
    let chain = format!(
        "{METRICS}[[fallback]]\nmodel = \"{MODEL}\"\nchain = [{{ model = \"{LITTLE}\", region = \"us-west-2\" }}]\n\
         [[quota]]\nmodel = \"amazon.nova-sonic-v1\"\nrequests_per_minute = 9\n"
    );
    let gateway = Running::new(&fake, &chain).await;
    let named = |text: &str, model: &str, region: &str| {
        let labels = [
            format!("ModelId=\"{model}\""),
            format!("Region=\"{region}\""),
        ];
        values(text, "Requests", &labels.each_ref().map(String::as_str))
    };
    let before = scrape(&gateway).await;
    for (model, region) in [
        (MODEL, "us-east-1"),
        (MODEL, "us-west-2"),
        (LITTLE, "us-west-2"),
        ("amazon.nova-sonic-v1", "us-east-1"),
    ] {
        assert_eq!(
            named(before.text(), model, region),
            [0.0],
            "{model} {region}"
        );
    }
    let errors = [
        r#"ModelId="amazon.nova-premier-v1""#,
        r#"Region="us-east-1""#,
        r#"Fault="unavailable""#,
    ];
    assert_eq!(values(before.text(), "RequestErrors", &errors), [0.0]);

    // A reload begins no count of strangers anew, and makes room for what it names.
    fake.answer_all();
    for n in 0..150 {
        gateway
            .post(&converse(&format!("acme.one-{n}")), support::BODY)
            .await;
    }
    gateway
        .handle
        .reload(Config::parse(&support::config(&url, &chain), &Flags::default()).unwrap())
        .unwrap();
    for n in 0..150 {
        gateway
            .post(&converse(&format!("acme.two-{n}")), support::BODY)
            .await;
    }
    let late = chain.replace(MODEL, "amazon.nova-late-v1");
    gateway
        .handle
        .reload(Config::parse(&support::config(&url, &late), &Flags::default()).unwrap())
        .unwrap();
    for model in [MODEL, "amazon.nova-late-v1"] {
        gateway.post(&converse(model), support::BODY).await;
    }
    let after = scrape(&gateway).await;
    assert_eq!(named(after.text(), MODEL, "us-east-1"), [1.0]);
    assert_eq!(
        named(after.text(), "amazon.nova-late-v1", "us-east-1"),
        [1.0]
    );
    // The gauges that alarms watch, too: those of the quota, which the reload has kept.
    for model in [MODEL, "amazon.nova-late-v1"] {
        let model = model.trim_start_matches("us.");
        let of_model = [&*format!("ModelId=\"{model}\""), r#"Region="us-east-1""#];
        let waiting = values(after.text(), "QuotaWaiting", &of_model);
        assert_eq!(waiting, [0.0], "{model}");
    }
    let strangers = values(after.text(), "Requests", &[r#"ModelId="acme."#]);
    assert!(strangers.len() <= 256, "{}", strangers.len());
    assert!(!values(after.text(), "Requests", &[r#"ModelId="other""#]).is_empty());
}

#[tokio::test]
async fn they_are_on_their_own_listener_alone_which_ends_with_the_gateway() {
    let mut fake = Fake::new().await;
    let mut gateway = Running::new(&fake, METRICS).await;
    let (answer, ()) = tokio::join!(
        async {
            let request = Request::get("/metrics").body(Bytes::new()).unwrap();
            gateway.send(request).await
        },
        async {
            fake.call().await.answer(404, &[], "{}").await;
        }
    );
    assert_eq!(answer.status, 404);
    let metrics = gateway.metrics_address.unwrap();
    let answer = support::post(metrics, "/model/m/converse", support::BODY).await;
    assert_eq!(answer.status, 404);

    gateway.stop();
    gateway.ended().await;
    assert!(tokio::net::TcpStream::connect(metrics).await.is_err());
    assert!(Running::new(&fake, "").await.metrics_address.is_none());
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let metrics = format!("[metrics]\nlisten = \"{address}\"\n");
    let toml = support::config("http://127.0.0.1:1", &metrics);
    let config = Config::parse(&toml, &Flags::default()).unwrap();
    let error = Gateway::bind_as(config, Signer::nobody())
        .await
        .unwrap_err();
    let expected = format!("cannot serve metrics on {address}: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test]
async fn gateways_of_one_process_are_recorded_together_or_refused() {
    let bind = |more: &str| {
        let toml = support::config("http://127.0.0.1:1", more);
        let config = Config::parse(&toml, &Flags::default()).unwrap();
        Gateway::bind_as(config, Signer::nobody())
    };
    let gateways = [bind(METRICS).await.unwrap(), bind(METRICS).await.unwrap()];
    assert!(
        gateways
            .iter()
            .all(|gateway| gateway.metrics_address().is_some())
    );
    let error = bind("[cloudwatch]\n").await.unwrap_err().to_string();
    assert!(error.contains("without this [cloudwatch]"), "{error}");
}
