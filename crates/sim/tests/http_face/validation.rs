use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use crate::support::{CLAUDE, NOVA, Server, hello, hello_anthropic, hello_nova};

/// A body with one of its parts replaced; null takes it out.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(fields) if value.is_null() => {
            fields.remove(key);
        }
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        _ => parent[key.parse::<usize>().unwrap()] = value,
    }
    body
}

#[tokio::test]
async fn converse_refuses_what_bedrock_refuses() {
    let server = Server::start().await;
    let text = json!([{ "text": "a" }]);
    let cases = [
        ("/messages", json!([]), "must start with a user message"),
        ("/messages", Value::Null, "must start with a user message"),
        (
            "/messages/0/role",
            json!("assistant"),
            "must start with a user message",
        ),
        (
            "/messages",
            json!([{ "role": "user", "content": text }, { "role": "user", "content": text }]),
            "must alternate between user and assistant roles",
        ),
        (
            "/messages/0/content",
            json!([]),
            "The content field in the Message object at messages.0 is empty",
        ),
        (
            "/messages/0/content",
            json!([{ "text": " " }]),
            "The text field in the ContentBlock object at messages.0.content.0 is blank",
        ),
        (
            "/messages/0/content",
            json!([{ "toolResult": { "toolUseId": "a", "content": [] } }]),
            "toolConfig field must be defined",
        ),
        (
            "/messages/0/content",
            json!([{ "toolUse": { "toolUseId": "a", "name": "a", "input": {} } }]),
            "must be in a message of the assistant role",
        ),
        (
            "/inferenceConfig/maxTokens",
            json!(0),
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "/inferenceConfig/maxTokens",
            json!(-1),
            "greater than or equal to 1",
        ),
        (
            "/inferenceConfig/maxTokens",
            json!(64_001),
            "exceeds the model limit of 64000",
        ),
        (
            "/inferenceConfig/temperature",
            json!(1.5),
            "Value '1.5' at 'inferenceConfig.temperature'",
        ),
        (
            "/inferenceConfig/topP",
            json!(-0.5),
            "'inferenceConfig.topP'",
        ),
        (
            "/inferenceConfig",
            json!({ "temperature": 2, "topP": 2 }),
            "2 validation errors detected",
        ),
        (
            "/inferenceConfig/stopSequences",
            json!([""]),
            "'inferenceConfig.stopSequences.1.member'",
        ),
        (
            "/performanceConfig",
            json!({ "latency": "warp" }),
            "enum value set: [standard, optimized]",
        ),
        (
            "/serviceTier",
            json!({ "type": "gold" }),
            "enum value set: [priority, default, flex, reserved]",
        ),
        ("/toolConfig", json!({ "tools": [] }), "'toolConfig.tools'"),
        (
            "/modelId",
            json!("a"),
            "Malformed input request: #: extraneous key [modelId] is not permitted",
        ),
        (
            "/messages/0/name",
            json!("a"),
            "#/messages/0: extraneous key [name] is not permitted",
        ),
        (
            "/messages/0/content",
            json!([{ "image": { "format": "png", "source": { "bytes": "" } } }]),
            "'messages.0.content.0.image.source.bytes'",
        ),
    ];
    for (pointer, value, message) in cases {
        let body = with(hello(), pointer, value);
        for operation in ["converse", "converse-stream"] {
            let answer = server.call(CLAUDE, operation, &body).await;
            answer.is_exception(400, "ValidationException", message);
        }
    }
}

#[tokio::test]
async fn many_mistakes_do_not_make_a_long_message() {
    let server = Server::start().await;
    let body = with(
        hello(),
        "/inferenceConfig/stopSequences",
        json!(vec![""; 100_000]),
    );
    let answer = server.call(CLAUDE, "converse", &body).await;
    answer.is_exception(
        400,
        "ValidationException",
        "100000 validation errors detected",
    );
    assert!(answer.body.len() < 4_096);
    let keys: Value = (0..1_000)
        .map(|n| (format!("{n}{}", "x".repeat(500)), json!(1)))
        .collect();
    let body = with(keys, "/messages", hello()["messages"].clone());
    let answer = server.call(CLAUDE, "converse", &body).await;
    answer.is_exception(400, "ValidationException", "extraneous key");
    assert!(answer.body.len() < 4_096);
}

#[tokio::test]
async fn converse_refuses_what_it_cannot_read() {
    let server = Server::start().await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        "\u{0}",
        "{\"messages\": \"hello\"}",
    ] {
        let answer = server.post(CLAUDE, "converse", body).await;
        answer.is_exception(400, "SerializationException", "");
    }
    for (pointer, value) in [
        ("/messages/0/role", json!("robot")),
        ("/messages/0/content", json!("Hello.")),
        (
            "/messages/0/content",
            json!([{ "type": "text", "text": "a" }]),
        ),
        ("/messages/0/content", json!([{ "text": "a", "image": {} }])),
        ("/messages/0/content", json!([{}])),
        ("/inferenceConfig/maxTokens", json!("10")),
        ("/inferenceConfig/maxTokens", json!(3_000_000_000_u64)),
        (
            "/messages/0/content",
            json!([{ "image": { "format": "png", "source": { "bytes": "#" } } }]),
        ),
    ] {
        let answer = server
            .call(CLAUDE, "converse", &with(hello(), pointer, value))
            .await;
        answer.is_exception(400, "SerializationException", "");
    }
    // Too deep for anybody.
    let deep = format!(
        "{{\"additionalModelRequestFields\": {}",
        "[".repeat(100_000)
    );
    let answer = server.post(CLAUDE, "converse", &deep).await;
    answer.is_exception(400, "SerializationException", "recursion limit");
}

#[tokio::test]
async fn anthropics_messages_are_checked() {
    let server = Server::start().await;
    for (pointer, value, message) in [
        (
            "/anthropic_version",
            Value::Null,
            "#: required key [anthropic_version] not found",
        ),
        (
            "/anthropic_version",
            json!("2023-06-01"),
            "anthropic_version",
        ),
        (
            "/max_tokens",
            Value::Null,
            "#: required key [max_tokens] not found",
        ),
        ("/max_tokens", json!(0), "'max_tokens'"),
        ("/max_tokens", json!(64_001), "max_tokens: 64001 > 64000"),
        ("/max_tokens", json!("many"), "Malformed input request"),
        ("/messages", json!([]), "at least one message"),
        ("/messages", Value::Null, "at least one message"),
        (
            "/messages/0/role",
            json!("assistant"),
            "first message must use the \"user\" role",
        ),
        (
            "/messages/0/role",
            json!("system"),
            "#/messages/0/role: system is not a valid enum value",
        ),
        (
            "/messages/0/content",
            json!(""),
            "messages.0: all messages must have non-empty content",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "hologram" }]),
            "Malformed input request",
        ),
        ("/temperature", json!(1.1), "'temperature'"),
        (
            "/stream",
            json!(true),
            "#: extraneous key [stream] is not permitted",
        ),
    ] {
        let body = with(hello_anthropic(), pointer, value);
        for operation in ["invoke", "invoke-with-response-stream"] {
            let answer = server.call(CLAUDE, operation, &body).await;
            answer.is_exception(400, "ValidationException", message);
        }
    }
    let answer = server.post(CLAUDE, "invoke", "{").await;
    answer.is_exception(400, "ValidationException", "Malformed input request");
    // Turns of one role in a row are one turn, and an answer may be begun.
    let turns = json!([
        { "role": "user", "content": "a" },
        { "role": "user", "content": [{ "type": "text", "text": "b" }] },
        { "role": "assistant", "content": "c" },
    ]);
    let body = with(hello_anthropic(), "/messages", turns);
    assert_eq!(server.call(CLAUDE, "invoke", &body).await.status, 200);
}

#[tokio::test]
async fn novas_bodies_are_checked() {
    let server = Server::start().await;
    for (pointer, value, message) in [
        (
            "/schemaVersion",
            json!("messages-v9"),
            "#/schemaVersion: messages-v9 is not a valid enum value",
        ),
        ("/messages", json!([]), "must start with a user message"),
        ("/inferenceConfig/maxTokens", json!(5), "duplicate field"),
        (
            "/inferenceConfig/temperature",
            json!(7),
            "'inferenceConfig.temperature'",
        ),
        (
            "/inferenceConfig/topK",
            json!(1_000),
            "'inferenceConfig.topK'",
        ),
        (
            "/anthropic_version",
            json!("a"),
            "extraneous key [anthropic_version]",
        ),
    ] {
        let answer = server
            .call(NOVA, "invoke", &with(hello_nova(), pointer, value))
            .await;
        answer.is_exception(400, "ValidationException", message);
    }
}

#[tokio::test]
async fn count_tokens_is_checked() {
    let server = Server::start().await;
    for (body, name) in [
        (json!({}), "SerializationException"),
        (json!({ "input": {} }), "SerializationException"),
        (
            json!({ "input": { "invokeModel": { "body": "#" } } }),
            "SerializationException",
        ),
        (
            json!({ "input": { "invokeModel": { "body": STANDARD.encode("{}") } } }),
            "ValidationException",
        ),
        (
            json!({ "input": { "converse": {} } }),
            "ValidationException",
        ),
        (
            json!({ "input": { "converse": hello() } }),
            "ValidationException",
        ),
    ] {
        let answer = server.call(CLAUDE, "count-tokens", &body).await;
        answer.is_exception(400, name, "");
    }
}

#[tokio::test]
async fn headers_of_invoke_model_are_checked() {
    let server = Server::start().await;
    for (header, value) in [
        ("x-amzn-bedrock-service-tier", "gold"),
        ("x-amzn-bedrock-performanceconfig-latency", "warp"),
    ] {
        let path = format!("/model/{CLAUDE}/invoke");
        let mut request = server.request(Method::POST, &path, &hello_anthropic().to_string());
        request.headers_mut().insert(header, value.parse().unwrap());
        let answer = server.exchange(request).await;
        answer.is_exception(400, "ValidationException", value);
    }
}

#[tokio::test]
async fn models_are_checked() {
    let server = Server::start().await;
    for (model, message) in [
        (
            "acme.unheard-of-v1:0",
            "The provided model identifier is invalid.",
        ),
        ("not a model", "The provided model identifier is invalid."),
        (
            "anthropic.claude-sonnet-4-20250514-v1:0",
            "with on-demand throughput isn't supported",
        ),
    ] {
        let path = format!("/model/{}/converse", model.replace(' ', "%20"));
        let request = server.request(Method::POST, &path, &hello().to_string());
        server
            .exchange(request)
            .await
            .is_exception(400, "ValidationException", message);
    }
}

#[tokio::test]
async fn what_is_no_operation_is_unknown() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::POST, "/guardrail/a/version/1/apply"),
        (Method::POST, "/model/a/converse/more"),
        (Method::POST, "/model/a/inverse"),
        (Method::POST, "/model/%ff/converse"),
        (Method::GET, "/model/a/converse"),
        (Method::GET, "/"),
    ] {
        let answer = server.exchange(server.request(method, path, "")).await;
        answer.is_exception(404, "UnknownOperationException", "");
    }
}

#[tokio::test]
async fn a_body_may_have_25_million_bytes_and_not_one_more() {
    let server = Server::start().await;
    let empty = with(hello_anthropic(), "/messages/0/content", json!(""))
        .to_string()
        .len();
    let unlimited = json!({ "tokens_per_minute": null });
    let path = format!("/_sim/models/{CLAUDE}");
    assert_eq!(
        server.control(Method::PUT, &path, &unlimited).await.status,
        204
    );
    for (length, status) in [(25_000_000, 200), (25_000_001, 400)] {
        let text = "x".repeat(length - empty);
        let body = with(hello_anthropic(), "/messages/0/content", json!(text)).to_string();
        assert_eq!(body.len(), length);
        let answer = server.post(CLAUDE, "invoke", &body).await;
        assert_eq!(answer.status, status);
        if status == 400 {
            answer.is_exception(400, "ValidationException", "less than or equal to 25000000");
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_in_the_ledger() {
    let server = Server::start().await;
    server.call(CLAUDE, "converse", &json!({})).await;
    let entry = server.simulator.ledger().entries.pop().unwrap();
    assert_eq!((entry.outcome, entry.status), ("validation", Some(400)));
    assert_eq!(
        (entry.operation.as_ref(), entry.model.as_str()),
        ("Converse", CLAUDE)
    );
    assert_eq!((entry.reserved, entry.settled), (0, 0));
}
