//! What a fresh clone runs: the gateway in front of the embedded simulator.

use bedrock_gateway::{
    Gateway, Operation, StartError,
    cli::ready_message,
    config::{Config, Flags},
};
use tokio::{net::TcpListener, sync::oneshot};

use crate::support::{self, Answer, BODY, frames, soon};

fn config(sim_listen: &str) -> Config {
    let toml = format!(
        "listen = \"127.0.0.1:0\"\n[upstream]\nkind = \"sim\"\nsim_listen = \"{sim_listen}\""
    );
    Config::parse(&toml, &Flags::default()).unwrap()
}

fn body(operation: Operation) -> String {
    match operation {
        Operation::Converse | Operation::ConverseStream => BODY.to_owned(),
        Operation::CountTokens => format!(r#"{{"input":{{"converse":{BODY}}}}}"#),
        _ => {
            r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#.to_owned()
        }
    }
}

#[tokio::test]
async fn every_operation_is_answered_and_says_that_it_is_simulated() {
    let gateway = Gateway::bind(config("127.0.0.1:0")).await.unwrap();
    let address = gateway.address();
    assert_ne!(gateway.sim_address().unwrap(), address);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(gateway.run(async {
        let _ = stopped.await;
    }));
    for operation in Operation::ALL {
        let model = "us.anthropic.claude-sonnet-4-20250514-v1%3A0";
        let path = format!("/model/{model}/{}", operation.segment());
        let answer: Answer = support::post(address, &path, body(operation)).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        assert_eq!(answer.header("x-bedrock-sim"), "true");
        if operation.is_streaming() {
            assert!(frames::names(&answer.body).len() > 3);
        }
    }
    drop(stop);
    soon(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Gateway::bind(config(&address.to_string()))
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Sim { .. }));
    let message = error.to_string();
    for part in [
        &address.to_string(),
        "--upstream http://",
        "upstream.sim_listen",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_ready_message_has_calls_to_paste_and_says_what_answers() {
    let address = "127.0.0.1:8080".parse().unwrap();
    let message = ready_message(&config("127.0.0.1:9090"), address, None);
    for part in [
        "SIMULATED",
        "127.0.0.1:9090",
        "curl",
        "boto3",
        "--upstream aws",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let key = format!(
        "[[client]]\nname = \"a\"\nkey_sha256 = \"{}\"",
        "0".repeat(64)
    );
    let keyed = Config::parse(&key, &Flags::default()).unwrap();
    let message = ready_message(&keyed, address, None);
    for part in ["Bearer $KEY", "https://"] {
        assert!(message.contains(part), "{message}");
    }
    let flags = Flags {
        upstream: Some("aws".to_owned()),
        ..Flags::default()
    };
    let message = ready_message(&Config::parse("", &flags).unwrap(), address, None);
    assert!(!message.contains("SIMULATED"), "{message}");
}
