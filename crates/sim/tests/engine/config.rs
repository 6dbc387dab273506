//! The TOML file, the control calls' bodies, and the seed.

use bedrock_sim::{Config, ModelSettings, OutputTokens, Simulator};
use tokio::time::{Duration, Instant};

use crate::support::{ACME, ask, call, last, prompt, target};

const FILE: &str = r#"
listen = "127.0.0.1:9191"
region = "eu-west-1"
seed = 7
time_scale = 60
tokens_per_day = 1_000_000
ledger_entries = 100

[credentials]
bearer_tokens = ["let-me-in"]
[[credentials.access_keys]]
access_key_id = "AKIDEXAMPLE"
secret_access_key = "not-to-be-shown"

[models."eu.acme.large-v1:0"]
tokens_per_minute = 10_000
requests_per_minute = "none"
window = "bucket"
output_tokens = { min = 5, max = 9 }
burndown = 3

[[quotas]]
model = "eu.acme.large-v1:0"
region = "eu-central-1"
tokens_per_minute = 77

[[background]]
model = "eu.acme.large-v1:0"
requests_per_minute = 5

[[faults]]
kind = "unavailable"
times = 1
"#;

#[tokio::test(start_paused = true)]
async fn a_file_says_it_all() {
    let config = Config::from_toml(FILE).unwrap();
    assert!(!config.credentials.accepts_any());
    let simulator = Simulator::new(config).unwrap();
    assert_eq!(simulator.default_region().as_str(), "eu-west-1");
    let limit = |region: &str| {
        let id = "eu.acme.large-v1:0".parse().unwrap();
        let levels = simulator.levels(&region.parse().unwrap(), &id).unwrap();
        levels.tokens_per_minute.unwrap().limit
    };
    assert_eq!((limit("eu-west-1"), limit("eu-central-1")), (10_000, 77));

    let mut call = call("eu.acme.large-v1:0", 10);
    call.region = "eu-west-1".parse().unwrap();
    assert!(simulator.begin(&call).is_err(), "the file's fault");
    let output = simulator.begin(&call).unwrap().plan().usage().output;
    assert!((5..=9).contains(&output));
    // The file's faults are part of the start.
    simulator.reset();
    assert!(simulator.begin(&call).is_err());
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", Config::from_toml(FILE).unwrap());
    assert!(
        !shown.contains("let-me-in") && !shown.contains("not-to-be-shown"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (file, complaint) in [
        (
            "time_scale = 0",
            "time_scale is 0: expected 0.001 to 1000000",
        ),
        (
            "region = \"mars\"",
            "region is mars: expected a Region that Bedrock is in",
        ),
        ("region = \"US EAST\"", "region is US EAST: expected"),
        ("[models.\"a b\"]", "models.\"a b\" is \"a b\": expected"),
        (
            "[models.x]\nburndown = 0",
            "models.\"x\".burndown is 0: expected 1 to 1000",
        ),
        (
            "[models.x]\ntokens_per_second = 0",
            "models.\"x\".tokens_per_second is 0: expected 0.001 to 1000000",
        ),
        (
            "[models.x]\ntokens_per_second = nan",
            "models.\"x\".tokens_per_second is NaN: expected",
        ),
        (
            "[models.x]\noutput_tokens = 0",
            "models.\"x\".output_tokens is 0: expected 1 to 10000000",
        ),
        (
            "[models.x]\noutput_tokens = { min = 9, max = 5 }",
            "models.\"x\".output_tokens is 5: expected 9 to 10000000",
        ),
        (
            "[models.x]\ntokens_per_minute = 2_000_000_000_000",
            "models.\"x\".tokens_per_minute is 2000000000000: expected 0 to 1000000000000",
        ),
        (
            "[[quotas]]\nmodel = \"us.acme\"\nregion = \"us-east-1\"",
            "quotas.model is us.acme: expected a model that can be called in us-east-1",
        ),
        (
            "[[background]]\nmodel = \"amazon.nova-lite-v1:0\"\nuntil_ms = 0",
            "background.until_ms is 0: expected more than from_ms (0)",
        ),
        (
            "[[faults]]\nkind = \"corrupt\"",
            "fault.at is not set: expected",
        ),
    ] {
        let error = Simulator::new(Config::from_toml(file).unwrap()).unwrap_err();
        assert!(error.to_string().starts_with(complaint), "{file}: {error}");
    }
    for (file, complaint) in [
        ("lsiten = \"127.0.0.1:1\"", "unknown field `lsiten`"),
        ("listen = \"nowhere\"", "invalid socket address"),
        ("[models.x]\nburndwon = 1", "unknown field `burndwon`"),
        (
            "[models.x]\ntokens_per_minute = -1",
            "expected a whole number, null or \"none\"",
        ),
        ("[models.x]\nwindow = \"round\"", "unknown variant `round`"),
        (
            "[[quotas]]\nmodel = \"m\"\nregion = \"r\"\nburndown = 1",
            "unknown field `burndown`",
        ),
    ] {
        let error = Config::from_toml(file).unwrap_err().to_string();
        assert!(error.contains(complaint), "{file}: {error}");
    }
}

#[test]
fn a_control_call_changes_what_it_names_or_nothing() {
    let simulator = Simulator::default();
    let id = ACME.parse().unwrap();
    let bad = ModelSettings {
        tokens_per_minute: Some(Some(1)),
        burndown: Some(0),
        ..ModelSettings::default()
    };
    let error = simulator.set_model(&id, None, &bad).unwrap_err();
    assert_eq!(error.to_string(), "model.burndown is 0: expected 1 to 1000");
    assert!(
        simulator.begin(&call(ACME, 1)).is_err(),
        "the model was not made"
    );

    let set = |json: &str| {
        let settings = serde_json::from_str(json).unwrap();
        simulator.set_model(&id, None, &settings).unwrap();
        simulator.levels(simulator.default_region(), &id).unwrap()
    };
    let levels =
        set(r#"{"tokens_per_minute": 1000, "requests_per_minute": 5, "output_tokens": 3}"#);
    assert_eq!(levels.tokens_per_minute.unwrap().limit, 1_000);
    simulator
        .begin(&call(ACME, 10).with_max_tokens(10))
        .unwrap()
        .complete();
    let levels = set(r#"{"requests_per_minute": null}"#);
    assert!(levels.requests_per_minute.is_none());
    assert_eq!(levels.tokens_per_minute.unwrap().used, 13);

    let outside = simulator.set_model(
        &format!("eu.{ACME}").parse().unwrap(),
        None,
        &ModelSettings::default(),
    );
    assert!(
        outside
            .unwrap_err()
            .to_string()
            .starts_with("region is us-east-1: expected a Region from which eu.acme")
    );
}

/// The same seed and the same calls give the same answers at the same instants; another seed does not.
#[tokio::test(start_paused = true)]
async fn a_seed_decides_every_spread() {
    let run = |seed| async move {
        let simulator = Simulator::new(Config {
            seed,
            ..Config::default()
        })
        .unwrap();
        let settings = ModelSettings {
            output_tokens: Some(OutputTokens::Between { min: 50, max: 600 }),
            latency_spread: Some(0.5),
            ..ModelSettings::default()
        };
        simulator
            .set_model(&ACME.parse().unwrap(), None, &settings)
            .unwrap();
        for _ in 0..20 {
            let prompt = bedrock_sim::Prompt::new(*prompt(10, 1).input());
            ask(&simulator, prompt.to(target(ACME))).await.unwrap();
        }
        let entries = simulator.ledger().entries;
        entries
            .iter()
            .map(|entry| (entry.at_ms, entry.ended_ms, entry.output_tokens))
            .collect::<Vec<_>>()
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!(
        first
            .iter()
            .all(|(_, _, output)| (50..=600).contains(output))
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_scale_makes_a_minute_a_second() {
    let simulator = Simulator::new(Config {
        time_scale: 60.0,
        ..Config::default()
    })
    .unwrap();
    let settings = ModelSettings {
        tokens_per_minute: Some(Some(100)),
        time_to_first_token_ms: Some(30_000),
        tokens_per_second: Some(2.0),
        ..ModelSettings::default()
    };
    simulator
        .set_model(&ACME.parse().unwrap(), None, &settings)
        .unwrap();
    let began = Instant::now();
    let invocation = || prompt(40, 60).with_max_output_tokens(60).to(target(ACME));
    ask(&simulator, invocation()).await.unwrap();
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(1),
        "30 s, and 60 tokens at 2 a second"
    );
    assert_eq!(last(&simulator).ended_ms, Some(60_000));
    ask(&simulator, invocation()).await.unwrap();
}

/// The README's file and faults are ones that the simulator takes.
#[test]
fn the_readme_is_right() {
    let readme = include_str!("../../README.md");
    let block = |language: &str| {
        let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let simulator = Simulator::new(Config::from_toml(block("toml")).unwrap()).unwrap();
    for fault in block("json").lines() {
        simulator
            .add_fault(serde_json::from_str(fault).unwrap())
            .unwrap();
    }
}
