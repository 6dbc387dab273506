//! Every configuration that cannot be, and what is said about it.

use std::time::Duration;

use bedrock_gateway::config::{Config, Flags, UpstreamKind};
use tower_bedrock_core::Priority;

fn flags(listen: Option<&str>, upstream: Option<&str>) -> Flags {
    Flags {
        listen: listen.map(str::to_owned),
        upstream: upstream.map(str::to_owned),
        ..Flags::default()
    }
}

fn error(toml: &str) -> String {
    Config::parse(toml, &Flags::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn messages_name_the_key_the_value_and_what_is_accepted() {
    let cases: [(&str, &[&str]); 52] = [
        (
            "listen = \"localhost\"",
            &["listen = \"localhost\"", "127.0.0.1:8080"],
        ),
        ("listen = 8080", &["line 1, listen", "8080", "string"]),
        (
            "lsten = \"127.0.0.1:1\"",
            &["line 1", "`lsten`", "`listen`"],
        ),
        (
            "listen = \"0.0.0.0:8080\"",
            &["listen = \"0.0.0.0:8080\"", "loopback", "[[client]]"],
        ),
        (
            "[metrics]\nlisten = \"9464\"",
            &["metrics.listen = \"9464\"", "an IP address and a port"],
        ),
        (
            "[metrics]\naddress = \"127.0.0.1:1\"",
            &["line 2", "`address`", "`listen`"],
        ),
        (
            "[cloudwatch]\nnamespace = \"AWS/Bedrock\"",
            &["cloudwatch.namespace is \"AWS/Bedrock\"", "'AWS/'"],
        ),
        (
            "[cloudwatch]\nperiod = \"100ms\"",
            &["cloudwatch.period = 100ms", "\"1s\" to \"1h\""],
        ),
        (
            "[otlp]\nendpoint = \"localhost:4318\"",
            &["otlp.endpoint = \"localhost:4318\"", "http:// or https://"],
        ),
        (
            "[otlp]\nendpoint = \"https://me:canary@collector\"",
            &[
                "otlp.endpoint = \"collector\"",
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
        ),
        (
            "[otlp]\nendpoint = \"http://collector?key=canary\"",
            &["otlp.endpoint = \"http://collector\" ", "a port and a path"],
        ),
        (
            "[otlp]\nservice_name = \"\"",
            &["otlp.service_name = \"\"", "1 to 64 bytes"],
        ),
        (
            "[otlp]\nsample_ratio = 1.5",
            &["otlp.sample_ratio = 1.5", "0.0 to 1.0"],
        ),
        (
            "[otlp]\nprotocol = \"grpc\"",
            &["line 2", "`protocol`", "`endpoint`"],
        ),
        (
            "[cloudwatch]\nregion = \"\"",
            &["cloudwatch.region = \"\"", "us-east-1"],
        ),
        (
            "[upstream]\nkind = \"azure\"",
            &[
                "upstream.kind = \"azure\"",
                "\"sim\", \"aws\" or \"endpoint\"",
            ],
        ),
        (
            "[upstream]\nkind = \"endpoint\"",
            &["upstream.endpoint is missing", "http://"],
        ),
        (
            "[upstream]\nendpoint = \"http://x\"",
            &[
                "upstream.endpoint = \"http://x\"",
                "upstream.kind = \"endpoint\"",
            ],
        ),
        (
            "[upstream]\nkind = \"aws\"\nsim_listen = \"127.0.0.1:1\"",
            &["upstream.sim_listen", "upstream.kind = \"sim\""],
        ),
        (
            "[upstream]\nsim_listen = \"0.0.0.0:9090\"",
            &["upstream.sim_listen = \"0.0.0.0:9090\"", "loopback"],
        ),
        (
            "[upstream]\nkind = \"endpoint\"\nendpoint = \"ftp://x\"",
            &["upstream.endpoint = \"ftp://x\"", "http:// or https://"],
        ),
        (
            "[upstream]\nkind = \"endpoint\"\nendpoint = \"http://x/path\"",
            &["http://x/path", "nothing after it"],
        ),
        (
            "[upstream]\nkind = \"endpoint\"\nendpoint = \"http://u:p@x\"",
            &["upstream.endpoint"],
        ),
        (
            "[upstream]\nkind = \"endpoint\"\nendpoint = \"127.0.0.1:9090\"",
            &["upstream.endpoint"],
        ),
        (
            "[upstream]\nregions = []",
            &["upstream.regions = []", "at least one"],
        ),
        (
            "[upstream]\nregions = [\"us-east-1\", \"US East\"]",
            &["upstream.regions = \"US East\"", "us-east-1"],
        ),
        (
            "[upstream]\nregion = \"us-east-1\"",
            &["`region`", "`regions`"],
        ),
        (
            "[server]\nmax_connections = 0",
            &["server.max_connections = 0", "1 to 1000000"],
        ),
        (
            "[server]\nmax_connections = -1",
            &["line 2, max_connections", "-1"],
        ),
        (
            "[server]\nmax_body_bytes = 0",
            &["server.max_body_bytes = 0", "1 to"],
        ),
        (
            "[server]\nmax_buffered_bytes = 1000",
            &["server.max_buffered_bytes = 1000", "25000000 to"],
        ),
        (
            "[server]\nidle_timeout = \"0s\"",
            &["server.idle_timeout = 0ns", "\"30s\"", "above zero"],
        ),
        (
            "[server]\nbody_timeout = \"2days\"",
            &["server.body_timeout", "at most \"1day\""],
        ),
        (
            "[server]\nwrite_timeout = 30",
            &["line 2, write_timeout", "30"],
        ),
        (
            "[server]\ndrain_timeout = \"soon\"",
            &["line 2, drain_timeout", "soon"],
        ),
        (
            "[fleet]\nstore = \"127.0.0.1:6379\"",
            &["[fleet]", "store: ", "redis:// or rediss://"],
        ),
        (
            "[fleet]\nstore = \"redis://x\"\nmembers = 300",
            &["[fleet]", "members is 300", "1 to 256"],
        ),
        (
            "[fleet]\nstore = \"redis://x\"\nrenew_every.most = \"1m\"",
            &["[fleet]", "renew_every.most is 60", "1 to 25"],
        ),
        (
            "[fleet]\ncluster = [\"redis://one\", \"rediss://two\"]",
            &["[fleet]", "cluster: ", "all of one kind"],
        ),
        (
            "[fleet]\nmembers = 3",
            &["[fleet]", "expected one of store, cluster, or sentinels"],
        ),
        (
            "[fleet]\nsentinels = [\"redis://one\"]",
            &["[fleet]", "sentinels with their master"],
        ),
        (
            "[fleet]\nserver = \"redis://me:canary@x\"",
            &["line 2", "`server`", "`store`"],
        ),
        ("[[client]]\nname = \"a\"", &["`key_sha256`"]),
        (
            "[[client]]\nname = \"\"\nkey_sha256 = \"\"",
            &["client.name = \"\"", "1 to 64"],
        ),
        (
            "[retry]\nmax_attempts = 0",
            &["[retry]", "max_attempts is 0", "1 to 1000"],
        ),
        (
            "[retry]\nattempts = 3",
            &["line 2", "`attempts`", "`max_attempts`"],
        ),
        (
            "[breaker]\nfailure_rate = 2.0",
            &["[breaker]", "failure_rate", "200", "100"],
        ),
        (
            "[timeout]\nfirst_event = \"0s\"",
            &["[timeout]", "first_event", "0ns", "more than 0s"],
        ),
        (
            "[[quota]]\ntokens_per_minute = 0",
            &["[[quota]]", "tokens_per_minute is 0", "1 to"],
        ),
        (
            "[[fallback]]\nwithin = \"mars\"\nchain = [{ region = \"us-west-2\" }]",
            &["[[fallback]]", "\"mars\"", "us, us-gov"],
        ),
        ("[tls]\ncertificate = \"a.pem\"", &["`key`"]),
        ("not toml", &["line 1"]),
    ];
    for (toml, expected) in cases {
        let message = error(toml);
        for part in expected {
            assert!(
                message.contains(part),
                "{toml:?}: {message:?} lacks {part:?}"
            );
        }
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    for toml in [
        "[[client]]\nname = \"a\"\nkey_sha256 = \"canary\"",
        "[[client]]\nname = \"a\"\nkey = \"canary\"",
        "[[client]]\nname = \"a\"\nkey_sha256 = canary",
    ] {
        let message = error(toml);
        assert!(!message.contains("canary"), "{message}");
        assert!(message.contains("key"), "{message}");
    }
}

#[test]
fn what_a_client_may_be_given() {
    let hash = "0".repeat(64);
    let client = format!("[[client]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n");
    let config = |more: &str| Config::parse(&format!("{client}{more}"), &Flags::default());
    let plain = config("").unwrap();
    assert_eq!(
        (plain.clients[0].priority, plain.clients[0].share),
        (Priority::Normal, 1)
    );
    assert_eq!(plain.stack.shares, []);
    let given = config("priority = \"interactive\"\nshare = 3").unwrap();
    assert_eq!(given.clients[0].priority, Priority::Interactive);
    assert_eq!(given.stack.shares, [("a".into(), 3)]);
    for (more, expected) in [
        (
            "priority = \"high\"",
            r#"client.priority of "a" = "high" is not valid: expected "interactive", "normal" or "batch""#,
        ),
        (
            "share = 0",
            r#"client.share of "a" = 0 is not valid: expected 1 to 1000"#,
        ),
    ] {
        assert_eq!(config(more).unwrap_err().to_string(), expected);
    }
}

#[test]
fn two_clients_of_one_name_are_refused() {
    let hash = "0".repeat(64);
    let client = format!("[[client]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n");
    let message = error(&client.repeat(2));
    assert!(message.contains("client.name = \"a\""), "{message}");
}

#[test]
fn an_empty_file_is_the_simulator_on_loopback() {
    let config = Config::parse("", &Flags::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    let sim = "127.0.0.1:9090".parse().unwrap();
    assert_eq!(config.upstream.kind, UpstreamKind::Sim(sim));
    assert_eq!(config.upstream.regions.to_string(), "us-east-1");
    assert_eq!(config.server.max_body_bytes, 25_000_000);
    assert_eq!(config.metrics, None);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(30));
}

#[test]
fn flags_go_before_the_file() {
    let file =
        "listen = \"127.0.0.1:1\"\n[upstream]\nkind = \"endpoint\"\nendpoint = \"http://file\"";
    let config = Config::parse(file, &flags(Some("[::1]:2"), Some("aws"))).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:2");
    assert_eq!(config.upstream.kind, UpstreamKind::Aws);

    let config = Config::parse(file, &flags(None, Some("https://flag:1"))).unwrap();
    let UpstreamKind::Endpoint(scheme, authority) = config.upstream.kind else {
        panic!("not an endpoint");
    };
    assert_eq!(format!("{scheme}://{authority}"), "https://flag:1");
}

#[test]
fn the_environments_region_is_for_a_file_that_names_none() {
    let flags = Flags {
        aws_region: Some("eu-west-1".to_owned()),
        ..Flags::default()
    };
    for (file, expected) in [
        ("", "eu-west-1"),
        ("[upstream]\nregions = [\"us-west-2\"]", "us-west-2"),
    ] {
        let config = Config::parse(file, &flags).unwrap();
        assert_eq!(config.upstream.regions.to_string(), expected);
    }
}

#[test]
fn wrong_flags_are_named_as_flags() {
    for (listen, upstream, expected) in [
        (Some("here"), None, "--listen = \"here\""),
        (Some("0.0.0.0:80"), None, "--listen = \"0.0.0.0:80\""),
        (None, Some("azure"), "--upstream = \"azure\""),
    ] {
        let message = Config::parse("", &flags(listen, upstream))
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn with_clients_any_address_will_do() {
    let hash = "ab".repeat(32);
    let file =
        format!("listen = \"0.0.0.0:8080\"\n[[client]]\nname = \"a\"\nkey_sha256 = \"{hash}\"");
    let config = Config::parse(&file, &Flags::default()).unwrap();
    assert_eq!(config.clients[0].key_sha256, [0xab; 32]);
}
