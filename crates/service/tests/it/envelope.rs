//! The envelope decides, and the rest of the input arrives as it was.

use aws_sdk_bedrockruntime::{
    Client,
    operation::converse::ConverseInput,
    types::{
        GuardrailConfiguration, InferenceConfiguration, OutputConfig, PerformanceConfigLatency,
        PerformanceConfiguration, ServiceTier as SdkTier, ServiceTierType, SystemContentBlock,
        Tool, ToolConfiguration, ToolInputSchema, ToolSpecification,
    },
};
use aws_smithy_types::{Document, Number};
use tower_bedrock_core::{Demand, HasDemand, HasTarget, Invocation, ServiceTier, Target};
use tower_bedrock_service::{BedrockInput, BedrockService};

use crate::{
    MODEL, ask, aws_config, converse, converse_stream, invoke_model, message, send, server::Server,
    service,
};

fn schema() -> Document {
    Document::Object([("type".to_owned(), Document::String("object".to_owned()))].into())
}

/// An input with something in every field that a call can do without.
fn full() -> ConverseInput {
    let tool = ToolSpecification::builder()
        .name("weather")
        .description("Tells the weather.")
        .input_schema(ToolInputSchema::Json(schema()))
        .build()
        .unwrap();
    let guardrail = GuardrailConfiguration::builder()
        .guardrail_identifier("guard")
        .guardrail_version("1");
    ConverseInput::builder()
        .model_id(MODEL)
        .messages(message("Say hello."))
        .system(SystemContentBlock::Text("Be brief.".to_owned()))
        .inference_config(
            InferenceConfiguration::builder()
                .max_tokens(100)
                .temperature(0.5)
                .stop_sequences("stop")
                .build(),
        )
        .tool_config(
            ToolConfiguration::builder()
                .tools(Tool::ToolSpec(tool))
                .build()
                .unwrap(),
        )
        .guardrail_config(guardrail.build())
        .additional_model_request_fields(Document::Object(
            [("top_k".to_owned(), Document::Number(Number::PosInt(5)))].into(),
        ))
        .additional_model_response_field_paths("/stop_sequence")
        .request_metadata("team", "a")
        .performance_config(
            PerformanceConfiguration::builder()
                .latency(PerformanceConfigLatency::Optimized)
                .build(),
        )
        .service_tier(
            SdkTier::builder()
                .r#type(ServiceTierType::Flex)
                .build()
                .unwrap(),
        )
        .output_config(OutputConfig::builder().effort("low").build())
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_input_arrives_as_the_sdk_itself_would_send_it() {
    let server = Server::healthy().await;
    ask(&service(&server), full()).await.unwrap();

    // The same, by the SDK alone.
    let client = Client::from_conf(
        aws_sdk_bedrockruntime::config::Builder::from(
            &aws_config().endpoint_url(server.url()).build(),
        )
        .behavior_version(aws_sdk_bedrockruntime::config::BehaviorVersion::latest())
        .build(),
    );
    let input = full();
    client
        .converse()
        .set_model_id(input.model_id)
        .set_messages(input.messages)
        .set_system(input.system)
        .set_inference_config(input.inference_config)
        .set_tool_config(input.tool_config)
        .set_guardrail_config(input.guardrail_config)
        .set_additional_model_request_fields(input.additional_model_request_fields)
        .set_additional_model_response_field_paths(input.additional_model_response_field_paths)
        .set_request_metadata(input.request_metadata)
        .set_performance_config(input.performance_config)
        .set_service_tier(input.service_tier)
        .set_output_config(input.output_config)
        .send()
        .await
        .unwrap();

    let requests = server.requests();
    assert_eq!(requests[0].path, requests[1].path);
    assert_eq!(requests[0].json(), requests[1].json());
    assert!(requests[0].json().as_object().unwrap().len() >= 10);
}

#[tokio::test]
async fn the_envelope_overrides_model_region_tier_and_output_bound() {
    let server = Server::healthy().await;
    let service = service(&server);
    let target = Target::parse("eu-west-1", "eu.amazon.nova-lite-v1:0")
        .unwrap()
        .with_service_tier(ServiceTier::Priority);
    let demand = Demand::new(10).with_max_output_tokens(64);

    let unary = Invocation::new(target.clone(), full()).with_demand(demand);
    send(&service, unary).await.unwrap();
    let streamed = Invocation::new(target, converse_stream()).with_demand(demand);
    send(&service, streamed).await.unwrap();

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(
            request
                .path
                .starts_with("/model/eu.amazon.nova-lite-v1%3A0/")
        );
        assert_eq!(request.region(), "eu-west-1");
        assert_eq!(request.json()["inferenceConfig"]["maxTokens"], 64);
        assert_eq!(request.json()["serviceTier"]["type"], "priority");
    }
}

#[tokio::test]
async fn what_the_envelope_leaves_open_stays_as_it_is() {
    let server = Server::healthy().await;
    let target = Target::parse("us-east-1", MODEL).unwrap();
    send(&service(&server), Invocation::new(target, full()))
        .await
        .unwrap();

    let json = server.only_request().json();
    assert_eq!(json["inferenceConfig"]["maxTokens"], 100);
    assert_eq!(json["serviceTier"]["type"], "flex");
}

#[tokio::test]
async fn a_bound_beyond_the_api_is_the_most_it_can_say() {
    let server = Server::healthy().await;
    let service = service(&server);
    let mut invocation = service.invocation(converse()).unwrap();
    assert!(invocation.set_max_output_tokens(u64::MAX));
    send(&service, invocation).await.unwrap();

    let json = server.only_request().json();
    assert_eq!(json["inferenceConfig"]["maxTokens"], i32::MAX);
}

#[tokio::test]
async fn a_body_is_sent_as_it_was_given() {
    let server = Server::healthy().await;
    let service = service(&server);
    let body = "{ \"max_tokens\" : 300,\n \"é\":1}";
    let mut invocation = service.invocation(invoke_model(body)).unwrap();
    assert_eq!(invocation.demand().max_output_tokens(), Some(300));

    invocation.set_max_output_tokens(5);
    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    invocation.set_target(target.with_service_tier(ServiceTier::Flex));
    send(&service, invocation).await.unwrap();

    let request = server.only_request();
    assert_eq!(request.path, "/model/amazon.nova-lite-v1%3A0/invoke");
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(request.headers["x-amzn-bedrock-service-tier"], "flex");
}

#[test]
fn an_input_is_measured_once() {
    let invocation = full()
        .into_invocation(&"us-east-1".parse().unwrap())
        .unwrap();
    let demand = invocation.demand();
    // "Say hello." and "Be brief."; the tool's name, description and schema.
    assert_eq!(demand.content().ascii_bytes, 19);
    assert_eq!(demand.content().tool_bytes, 7 + 18 + 17);
    assert_eq!(demand.max_output_tokens(), Some(100));
    assert_eq!(
        invocation.target().to_string(),
        format!("us-east-1/{MODEL}")
    );
}

#[tokio::test]
async fn an_invocation_needs_a_model_and_a_region() {
    let server = Server::healthy().await;
    let with_region = service(&server);
    let nameless = ConverseInput::builder().build().unwrap();
    let error = with_region.invocation(nameless).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the input names no model: set its `model_id`"
    );
    let wrong = ConverseInput::builder()
        .model_id("a model")
        .build()
        .unwrap();
    let error = with_region.invocation(wrong).unwrap_err();
    assert!(error.to_string().contains("\"a model\""), "{error}");
    assert!(error.to_string().contains("expected"), "{error}");

    let mut config = aws_config();
    config.set_region(None);
    let without = BedrockService::new(&config.endpoint_url(server.url()).build()).unwrap();
    let error = without.invocation(converse()).unwrap_err();
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
    // With a Region of its own it can be sent all the same.
    let invocation = converse()
        .into_invocation(&"us-west-2".parse().unwrap())
        .unwrap();
    send(&without, invocation).await.unwrap();
    assert_eq!(server.only_request().region(), "us-west-2");

    // An ARN names its Region.
    let arn = "arn:aws:bedrock:eu-west-3:123456789012:inference-profile/eu.amazon.nova-lite-v1:0";
    let input = ConverseInput::builder().model_id(arn).build().unwrap();
    let invocation = without.invocation(input).unwrap();
    assert_eq!(invocation.target().region().as_str(), "eu-west-3");
}
