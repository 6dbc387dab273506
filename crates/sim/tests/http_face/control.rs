use http::Method;
use serde_json::{Value, json};

use crate::support::{CLAUDE, Server, hello};

#[tokio::test]
async fn health_says_when_it_is_ready() {
    let server = Server::start().await;
    let answer = server
        .control(Method::GET, "/_sim/health", &Value::Null)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-bedrock-sim"), "true");
}

#[tokio::test]
async fn the_ledger_is_read_and_emptied() {
    let server = Server::start().await;
    server.call(CLAUDE, "converse", &hello()).await;
    let ledger = server
        .control(Method::GET, "/_sim/ledger", &Value::Null)
        .await
        .json();
    let entry = &ledger["entries"][0];
    for field in [
        "seq",
        "at_ms",
        "model",
        "region",
        "operation",
        "outcome",
        "status",
        "input_tokens",
        "max_tokens",
        "output_tokens",
        "reserved",
        "settled",
    ] {
        assert!(!entry[field].is_null(), "{field}: {entry}");
    }
    assert_eq!(entry["operation"], "Converse");
    assert_eq!(entry["outcome"], "ok");
    assert_eq!(entry["max_tokens"], 10);

    let emptied = server
        .control(Method::DELETE, "/_sim/ledger", &Value::Null)
        .await;
    assert_eq!(emptied.status, 204);
    let ledger = server
        .control(Method::GET, "/_sim/ledger", &Value::Null)
        .await
        .json();
    assert_eq!(ledger["entries"], json!([]));
}

#[tokio::test]
async fn models_are_made_and_set() {
    let server = Server::start().await;
    let settings = json!({ "max_output_tokens": 3, "tokens_per_minute": null });
    for path in [
        "/_sim/models/us.acme.large-v1%3A0",
        "/_sim/models/us.acme.large-v1:0?region=us-west-2",
    ] {
        let answer = server.control(Method::PUT, path, &settings).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    let mut body = hello();
    body["inferenceConfig"] = json!({});
    let answer = server
        .call("us.acme.large-v1:0", "converse", &body)
        .await
        .json();
    assert_eq!(answer["usage"]["outputTokens"], 3);
}

#[tokio::test]
async fn faults_are_added_and_removed() {
    let server = Server::start().await;
    let internal =
        json!({ "model": "us.anthropic.*", "kind": "internal", "operation": "Converse" });
    let added = server
        .control(Method::POST, "/_sim/faults", &internal)
        .await;
    let id = added.json()["id"].as_u64().unwrap();
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 500);
    let path = format!("/_sim/faults/{id}");
    assert_eq!(
        server
            .control(Method::DELETE, &path, &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 200);
    assert_eq!(
        server
            .control(Method::DELETE, &path, &Value::Null)
            .await
            .status,
        404
    );

    server
        .control(Method::POST, "/_sim/faults", &internal)
        .await;
    let cleared = server
        .control(Method::DELETE, "/_sim/faults", &Value::Null)
        .await;
    assert_eq!(cleared.status, 204);
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 200);

    server
        .control(Method::POST, "/_sim/faults", &internal)
        .await;
    let reset = server
        .control(Method::POST, "/_sim/reset", &Value::Null)
        .await;
    assert_eq!(reset.status, 204);
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 200);
    assert_eq!(server.simulator.ledger().entries.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let server = Server::start().await;
    for (method, path, body, status, named) in [
        (
            Method::PUT,
            "/_sim/models/a.b",
            json!({ "tokens": 1 }),
            400,
            "tokens",
        ),
        (
            Method::PUT,
            "/_sim/models/a.b",
            json!({ "tokens_per_minute": "x" }),
            400,
            "tokens_per_minute",
        ),
        (
            Method::PUT,
            "/_sim/models/a.b",
            json!({ "window": "round" }),
            400,
            "sliding",
        ),
        (Method::PUT, "/_sim/models/a.b", json!(1), 400, ""),
        (Method::PUT, "/_sim/models/a.b", Value::Null, 400, ""),
        (Method::PUT, "/_sim/models/a%20b", json!({}), 400, "a b"),
        (
            Method::PUT,
            "/_sim/models/a.b?region=NO",
            json!({}),
            400,
            "NO",
        ),
        (
            Method::PUT,
            "/_sim/models/a.b?zone=a",
            json!({}),
            400,
            "zone",
        ),
        (
            Method::POST,
            "/_sim/faults",
            json!({ "kind": "boredom" }),
            400,
            "throttle_requests",
        ),
        (
            Method::POST,
            "/_sim/faults",
            json!({ "kind": "reset", "probability": 2 }),
            400,
            "probability",
        ),
        (
            Method::DELETE,
            "/_sim/faults/first",
            Value::Null,
            404,
            "fault",
        ),
        (
            Method::GET,
            "/_sim/nonsense",
            Value::Null,
            404,
            "/_sim/health",
        ),
        (
            Method::GET,
            "/_sim/reset",
            Value::Null,
            405,
            "POST /_sim/reset",
        ),
    ] {
        let answer = server.control(method, path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{path} {body}: {message}");
    }
}
