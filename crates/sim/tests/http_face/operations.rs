use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

use crate::support::{CLAUDE, NOVA, Server, hello, hello_anthropic, hello_nova};

#[tokio::test]
async fn converse_answers_as_bedrock_does_and_says_it_is_simulated() {
    let server = Server::start().await;
    let mut body = hello();
    body["serviceTier"] = json!({ "type": "flex" });
    body["performanceConfig"] = json!({ "latency": "optimized" });
    let answer = server.call(CLAUDE, "converse", &body).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-bedrock-sim"), "true");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    let answer = answer.json();
    let message = &answer["output"]["message"];
    assert_eq!(message["role"], "assistant");
    let text = message["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("This is a simulated answer"), "{text}");
    assert_eq!(answer["stopReason"], "max_tokens");
    let usage = &answer["usage"];
    assert_eq!(usage["outputTokens"], 10);
    let total = usage["inputTokens"].as_u64().unwrap() + 10;
    assert_eq!(usage["totalTokens"], total);
    assert!(answer["metrics"]["latencyMs"].as_u64().unwrap() >= 900);
    assert_eq!(answer["serviceTier"], json!({ "type": "flex" }));
    assert_eq!(
        answer["performanceConfig"],
        json!({ "latency": "optimized" })
    );
}

#[tokio::test]
async fn invoke_model_speaks_anthropics_language_and_counts_in_headers() {
    let server = Server::start().await;
    let answer = server.call(CLAUDE, "invoke", &hello_anthropic()).await;

    assert_eq!(answer.status, 200);
    let message = answer.json();
    assert_eq!(message["type"], "message");
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["stop_reason"], "max_tokens");
    assert!(
        message["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("simulated")
    );
    let usage = &message["usage"];
    assert_eq!(usage["output_tokens"], 10);
    for (header, count) in [
        ("x-amzn-bedrock-input-token-count", &usage["input_tokens"]),
        ("x-amzn-bedrock-output-token-count", &usage["output_tokens"]),
        ("x-amzn-bedrock-cache-read-input-token-count", &json!(0)),
        ("x-amzn-bedrock-cache-write-input-token-count", &json!(0)),
    ] {
        assert_eq!(answer.header(header), count.to_string(), "{header}");
    }
    assert!(
        answer
            .header("x-amzn-bedrock-invocation-latency")
            .parse::<u64>()
            .unwrap()
            >= 900
    );
}

#[tokio::test]
async fn invoke_model_speaks_novas_language() {
    let server = Server::start().await;
    for limit in ["maxTokens", "max_new_tokens"] {
        let mut body = hello_nova();
        body["inferenceConfig"] = json!({ limit: 7 });
        let answer = server.call(NOVA, "invoke", &body).await;
        assert_eq!(answer.header("x-amzn-bedrock-output-token-count"), "7");
        let answer = answer.json();
        assert_eq!(answer["usage"]["outputTokens"], 7);
        assert_eq!(answer["output"]["message"]["role"], "assistant");
    }
}

#[tokio::test]
async fn a_model_of_no_known_family_is_spoken_to_in_either_language() {
    let server = Server::start().await;
    let made = server
        .control(Method::PUT, "/_sim/models/acme.large-v1:0", &json!({}))
        .await;
    assert_eq!(made.status, 204);
    let anthropic = server
        .call("acme.large-v1:0", "invoke", &hello_anthropic())
        .await;
    assert_eq!(anthropic.json()["type"], "message");
    let nova = server
        .call("acme.large-v1:0", "invoke", &hello_nova())
        .await;
    assert_eq!(nova.json()["output"]["message"]["role"], "assistant");
}

#[tokio::test]
async fn count_tokens_counts_what_the_same_call_would_use() {
    let server = Server::start().await;
    let converse = json!({ "messages": hello()["messages"], "system": [{ "text": "Be brief." }] });
    let counted = server
        .call(
            CLAUDE,
            "count-tokens",
            &json!({ "input": { "converse": converse } }),
        )
        .await;
    assert_eq!(counted.status, 200, "{counted:?}");
    let used = server.call(CLAUDE, "converse", &converse).await.json();
    assert_eq!(counted.json()["inputTokens"], used["usage"]["inputTokens"]);

    let encoded = STANDARD.encode(hello_anthropic().to_string());
    let invoke = json!({ "input": { "invokeModel": { "body": encoded } } });
    let counted = server.call(CLAUDE, "count-tokens", &invoke).await.json();
    let used = server
        .call(CLAUDE, "invoke", &hello_anthropic())
        .await
        .json();
    assert_eq!(counted["inputTokens"], used["usage"]["input_tokens"]);
}

#[tokio::test]
async fn a_model_id_may_come_as_it_is_or_encoded_and_may_be_an_arn() {
    let server = Server::start().await;
    let plain = server
        .exchange(server.request(
            Method::POST,
            &format!("/model/{CLAUDE}/converse"),
            &hello().to_string(),
        ))
        .await;
    assert_eq!(plain.status, 200);
    let arn = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}");
    assert_eq!(server.call(&arn, "converse", &hello()).await.status, 200);
    let ledger = server.simulator.ledger();
    assert_eq!(ledger.entries[0].model, CLAUDE);
    assert_eq!(ledger.entries[1].model, arn);
}

#[tokio::test]
async fn everything_that_may_stand_in_a_conversation_is_taken_and_counted() {
    let server = Server::start().await;
    let blocks = [
        json!({ "text": "Hello." }),
        json!({ "image": { "format": "png", "source": { "bytes": STANDARD.encode("png") } } }),
        json!({ "image": { "format": "png", "source": { "s3Location": { "uri": "s3://a-bucket/key" } } } }),
        json!({ "document": { "format": "pdf", "name": "a", "source": { "bytes": STANDARD.encode([0; 300]) } } }),
        json!({ "document": { "name": "a", "source": { "text": "some text" }, "citations": { "enabled": true } } }),
        json!({ "document": { "name": "a", "source": { "content": [{ "text": "some text" }] } } }),
        json!({ "video": { "format": "mp4", "source": { "bytes": STANDARD.encode([0; 300]) } } }),
        json!({ "audio": { "format": "mp3", "source": { "bytes": STANDARD.encode([0; 300]) } } }),
        json!({ "toolResult": { "toolUseId": "a", "content": [{ "json": { "a": [1] } }, { "text": "b" }] } }),
        json!({ "guardContent": { "text": { "text": "guarded", "qualifiers": ["query"] } } }),
        json!({ "reasoningContent": { "reasoningText": { "text": "because" } } }),
        json!({ "searchResult": { "source": "s", "title": "t", "content": [{ "text": "found" }] } }),
    ];
    let nothing = json!([{ "role": "user", "content": [{ "text": "." }] }]);
    let least = input_tokens(&server, nothing.clone(), Value::Null).await;
    for block in blocks {
        let messages = json!([{ "role": "user", "content": [{ "text": "." }, block] }]);
        let tokens = input_tokens(&server, messages, Value::Null).await;
        assert!(tokens > least, "{block}: {tokens}");
    }
    let tools = json!({
        "tools": [
            { "toolSpec": { "name": "a", "inputSchema": { "json": { "type": "object" } } } },
            { "systemTool": { "name": "b" } },
        ],
        "toolChoice": { "auto": {} },
    });
    let with_tools = input_tokens(&server, nothing, tools.clone()).await;
    assert!(with_tools > least);
    let used = json!([
        { "role": "user", "content": [{ "text": "." }] },
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "a", "name": "a", "input": {} } }] },
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "a", "content": [], "status": "error" } }] },
    ]);
    assert!(input_tokens(&server, used, tools).await > with_tools);
}

async fn input_tokens(server: &Server, messages: Value, mut tools: Value) -> u64 {
    if tools.is_null() {
        tools = json!({ "tools": [{ "systemTool": { "name": "t" } }] });
    }
    let body = json!({
        "messages": messages,
        "toolConfig": tools,
        "system": [{ "text": "Be brief." }],
        "inferenceConfig": { "maxTokens": 1, "temperature": 1, "topP": 0.5, "stopSequences": ["x"] },
        "guardrailConfig": { "guardrailIdentifier": "a", "guardrailVersion": "1" },
        "additionalModelRequestFields": { "top_k": 5 },
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "promptVariables": { "a": { "text": "b" } },
        "requestMetadata": { "team": "a" },
        "outputConfig": { "effort": "low" },
    });
    let answer = server.call(CLAUDE, "converse", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["usage"]["inputTokens"].as_u64().unwrap()
}

#[tokio::test]
async fn what_stands_before_a_cache_point_is_written_once_and_read_after_that() {
    let server = Server::start().await;
    let long = "word ".repeat(2_000);
    let converse = json!({
        "messages": [{ "role": "user", "content": [
            { "text": long }, { "cachePoint": { "type": "default", "ttl": "1h" } }, { "text": "And now?" },
        ] }],
        "inferenceConfig": { "maxTokens": 1 },
    });
    let first = server.call(CLAUDE, "converse", &converse).await.json();
    let second = server.call(CLAUDE, "converse", &converse).await.json();
    let written = first["usage"]["cacheWriteInputTokens"].as_u64().unwrap();
    assert!(written > 1_024);
    assert_eq!(first["usage"]["cacheReadInputTokens"], 0);
    assert_eq!(second["usage"]["cacheReadInputTokens"], written);
    assert_eq!(second["usage"]["cacheWriteInputTokens"], 0);
    assert_eq!(
        second["usage"]["inputTokens"],
        first["usage"]["inputTokens"]
    );
    // What is read from the cache is not settled, though it was reserved.
    let entry = &server.simulator.ledger().entries[1];
    assert!(
        entry.reserved > written && entry.settled < written,
        "{entry:?}"
    );

    let control = json!({ "type": "ephemeral", "ttl": "1h" });
    let mut invoke = hello_anthropic();
    invoke["system"] = json!([{ "type": "text", "text": long, "cache_control": control }]);
    let first = server.call(CLAUDE, "invoke", &invoke).await;
    let second = server.call(CLAUDE, "invoke", &invoke).await;
    let written = first.header("x-amzn-bedrock-cache-write-input-token-count");
    assert_eq!(
        second.header("x-amzn-bedrock-cache-read-input-token-count"),
        written
    );
    assert_eq!(
        second.json()["usage"]["cache_read_input_tokens"].to_string(),
        written
    );

    server
        .control(Method::POST, "/_sim/reset", &Value::Null)
        .await;
    let again = server.call(CLAUDE, "invoke", &invoke).await;
    assert_eq!(
        again.header("x-amzn-bedrock-cache-write-input-token-count"),
        written
    );
}

#[tokio::test]
async fn four_cache_points_are_enough() {
    let server = Server::start().await;
    for (points, status) in [(4, 200), (5, 400)] {
        let mut content = vec![json!({ "text": "Hello." })];
        content.extend(vec![json!({ "cachePoint": { "type": "default" } }); points]);
        let body = json!({ "messages": [{ "role": "user", "content": content }] });
        assert_eq!(server.call(CLAUDE, "converse", &body).await.status, status);
    }
}

#[tokio::test]
async fn the_region_is_named_by_a_header_where_nothing_is_signed() {
    let server = Server::start().await;
    for (region, expected) in [(None, "us-east-1"), (Some("us-west-2"), "us-west-2")] {
        let mut request = server.request(
            Method::POST,
            &format!("/model/{CLAUDE}/converse"),
            &hello().to_string(),
        );
        if let Some(region) = region {
            request
                .headers_mut()
                .insert("x-sim-region", region.parse().unwrap());
        }
        assert_eq!(server.exchange(request).await.status, 200);
        assert_eq!(
            server.simulator.ledger().entries.last().unwrap().region,
            expected
        );
    }
    let mut request = server.request(Method::POST, &format!("/model/{CLAUDE}/converse"), "{}");
    request
        .headers_mut()
        .insert("x-sim-region", "No Region".parse().unwrap());
    server
        .exchange(request)
        .await
        .is_exception(400, "ValidationException", "x-sim-region");
}

#[tokio::test]
async fn http2_is_spoken_to_clients_that_begin_with_it() {
    let mut server = Server::start().await;
    server.speak_http2();
    let answer = server.call(CLAUDE, "converse", &hello()).await;
    assert_eq!(answer.status, 200);
    let frames = server
        .call(CLAUDE, "converse-stream", &hello())
        .await
        .frames();
    assert_eq!(frames.len(), 7);
}
