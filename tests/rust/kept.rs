//! The SDK's answers, kept: streams given again as streams, and calls told apart by what they send.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::{
    operation::{converse_stream::ConverseStreamInput, invoke_model::InvokeModelInput},
    primitives::Blob,
    types::{
        CachePointBlock, CachePointType, ContentBlock, ConversationRole, ConverseStreamOutput,
        InferenceConfiguration, Message, PromptVariableValues,
    },
};
use serde_json::json;
use tokio::time::Duration;
use tower::{Layer, Service, ServiceExt};
use tower_bedrock::{
    BedrockInput, BedrockService, Completion, Context, ConverseEvents, Demand, Error,
    HasCompletion, HasTarget, Invocation, Outcome,
    cache::Cache,
    caching::{self, SdkCacheLayer},
};

use crate::{call, local::Local};

type Input = ConverseStreamInput;
type Cached = <SdkCacheLayer<Input> as Layer<BedrockService>>::Service;

/// Answers are served again for a minute, and for a day when everything fails.
fn cached(local: &Local) -> Cached {
    let builder = caching::builder::<Input>().fresh_for(Duration::from_secs(60));
    builder.build().unwrap().layer(local.bedrock())
}

fn hello(local: &Local, tenant: &str) -> Invocation<Input> {
    let call = local
        .bedrock()
        .invocation(call::converse_stream("Hello."))
        .unwrap();
    let context = call.context().clone().with_tenant(tenant);
    call.with_context(context)
}

async fn ask(service: &Cached, call: Invocation<Input>) -> Result<ConverseEvents, Error> {
    service.clone().oneshot(call).await
}

/// All events of a stream, and how it ended.
async fn read(mut events: ConverseEvents) -> (Vec<ConverseStreamOutput>, Completion) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&told);
    events.on_completion(move |completion| observer.lock().unwrap().push(*completion));
    let mut all = Vec::new();
    while let Ok(Some(event)) = events.recv().await {
        all.push(event);
    }
    drop(events);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    (all, told[0])
}

fn calls(local: &Local) -> usize {
    local.simulator.ledger().entries.len()
}

#[tokio::test]
async fn a_whole_stream_is_given_again_event_by_event() {
    for local in Local::both().await {
        let service = cached(&local);
        let (events, told) = read(ask(&service, hello(&local, "a")).await.unwrap()).await;
        assert!(events.len() > 20 && told.usage.is_some());

        let replay = ask(&service, hello(&local, "a")).await.unwrap();
        assert_eq!(replay.history().unwrap().attempts, 0);
        let (again, told) = read(replay).await;
        assert_eq!(again, events);
        assert_eq!((told.outcome, told.usage), (Outcome::Complete, None));
        assert_eq!(calls(&local), 1);

        // Never another tenant's.
        read(ask(&service, hello(&local, "b")).await.unwrap()).await;
        assert_eq!(calls(&local), 2);
    }
}

#[tokio::test]
async fn what_did_not_come_whole_is_not_kept() {
    let local = Local::direct().await;
    let service = cached(&local);
    for fault in ["internal", "reset", "corrupt"] {
        local.fault(json!({"kind": fault, "at": {"after_deltas": 3}, "times": 1}));
        let (_, told) = read(ask(&service, hello(&local, "a")).await.unwrap()).await;
        assert!(matches!(told.outcome, Outcome::Failed(_)), "{fault}");
    }
    let mut dropped = ask(&service, hello(&local, "a")).await.unwrap();
    dropped.recv().await.unwrap();
    drop(dropped);
    assert_eq!(calls(&local), 4);

    let whole = ask(&service, hello(&local, "a")).await.unwrap();
    assert_eq!(calls(&local), 5, "nothing was kept");
    read(whole).await;
    read(ask(&service, hello(&local, "a")).await.unwrap()).await;
    assert_eq!(calls(&local), 5);
}

#[tokio::test]
async fn a_kept_stream_stands_in_for_an_outage() {
    let local = Local::direct().await;
    let cache = caching::builder::<Input>().build().unwrap();
    let service = cache.layer(local.bedrock());
    let (events, _) = read(ask(&service, hello(&local, "a")).await.unwrap()).await;
    local.fault(json!({"kind": "unavailable"}));
    let stale = ask(&service, hello(&local, "a")).await.unwrap();
    assert!(stale.history().unwrap().degraded.unwrap().age.is_some());
    assert_eq!(read(stale).await.0, events);
    ask(&service, hello(&local, "b")).await.unwrap_err();
}

/// Each of the other operations: the answer to the second call is the first's.
#[tokio::test]
async fn every_operation_can_be_kept() {
    async fn twice<I>(local: &Local, input: I) -> [I::Response; 2]
    where
        I: BedrockInput + Clone,
        BedrockService: Service<Invocation<I>, Response = I::Response, Error = Error>,
        Cache<BedrockService, caching::KeyOf<I>, caching::BytesOf<I>, caching::Kept<I>>:
            Service<Invocation<I>, Response = I::Response, Error = Error> + Clone,
    {
        let builder = caching::builder::<I>().fresh_for(Duration::from_secs(60));
        let service = builder.build().unwrap().layer(local.bedrock());
        let call = || local.bedrock().invocation(input.clone()).unwrap();
        let first = service.clone().oneshot(call()).await.unwrap();
        [first, service.oneshot(call()).await.unwrap()]
    }

    let local = Local::direct().await;
    let [first, second] = twice(&local, call::converse("Hello.")).await;
    assert_eq!(first.output(), second.output());
    assert!(first.usage().is_some() && second.usage().is_none());
    assert_eq!(calls(&local), 1);
    let [first, second] = twice(&local, call::invoke("Hello.")).await;
    assert_eq!(first.output().body(), second.output().body());
    assert_eq!(calls(&local), 2);
}

#[tokio::test]
async fn calls_are_told_apart_by_what_they_send() {
    let local = Local::direct().await;
    let invocation = |input| local.bedrock().invocation::<Input>(input).unwrap();
    let key = |input| caching::key(&invocation(input));
    let builder = || call::converse_stream("Hello.");
    let hello = key(builder());
    assert!(hello.is_some());
    assert_eq!(hello, key(builder()));

    let mut bounded = builder();
    bounded.inference_config = Some(InferenceConfiguration::builder().max_tokens(9).build());
    assert_ne!(hello, key(bounded.clone()));
    // However it came to be sent.
    let call = invocation(builder());
    let demand = Demand::new(3).with_max_output_tokens(9);
    assert_eq!(caching::key(&call.with_demand(demand)), key(bounded));

    assert_ne!(hello, key(call::converse_stream("Hello!")));
    let unary = local
        .bedrock()
        .invocation(call::converse("Hello."))
        .unwrap();
    assert_ne!(hello, caching::key(&unary));
    let call = invocation(builder()).with_context(Context::new().with_tenant("a"));
    assert_ne!(hello, caching::key(&call));

    // A map has no order.
    let named = |names: [&str; 8]| {
        let mut input = builder();
        let variables = names
            .into_iter()
            .map(|name| (name.to_owned(), PromptVariableValues::Text(name.to_owned())));
        input.prompt_variables = Some(variables.collect());
        key(input)
    };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(named(names), named(reversed));
    assert_ne!(named(names), hello);

    // What comes after the text, however little it is.
    let block = CachePointBlock::builder()
        .r#type(CachePointType::Default)
        .build()
        .unwrap();
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text("Hello.".to_owned()))
        .content(ContentBlock::CachePoint(block));
    let mut marked = builder();
    marked.messages = Some(vec![message.build().unwrap()]);
    assert_ne!(hello, key(marked));
}

#[tokio::test]
async fn what_is_sent_beside_the_body_counts() {
    let local = Local::direct().await;
    let key = |input: InvokeModelInput| caching::key(&local.bedrock().invocation(input).unwrap());
    let hello = call::invoke("Hello.");
    let mut guarded = hello.clone();
    guarded.guardrail_identifier = Some("mine".to_owned());
    assert_ne!(key(hello.clone()), key(guarded));
    let mut spaced = hello.clone();
    let body: serde_json::Value = serde_json::from_slice(hello.body().unwrap().as_ref()).unwrap();
    spaced.body = Some(Blob::new(serde_json::to_vec_pretty(&body).unwrap()));
    assert_eq!(key(hello.clone()), key(spaced));
    let mut opaque = hello;
    opaque.body = Some(Blob::new("no JSON"));
    assert_eq!(key(opaque), None);
}
