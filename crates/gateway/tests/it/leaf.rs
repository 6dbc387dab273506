//! The leaf on its own: what policies are told, and what they can change.

use std::sync::{Arc, Mutex};

use bedrock_gateway::{
    Endpoint, Operation, RawRequest, RawResponse, Signer, Upstream, UpstreamError,
};
use http::{HeaderMap, uri::Scheme};
use tower::ServiceExt;
use tower_bedrock_core::{
    Completion, Demand, FaultKind, HasCompletion, HasFault, Invocation, Outcome, ServiceTier,
    Target, TokenUsage,
};

use crate::support::{
    BODY, Call, Fake, MODEL,
    frames::{Whole, exception},
    soon,
};

const USAGE: TokenUsage = TokenUsage {
    input: 3,
    output: 5,
    cache_read: 0,
    cache_write: 0,
};

fn invocation(operation: Operation) -> Invocation<RawRequest> {
    let target = Target::parse("us-east-1", MODEL).unwrap();
    let path = format!(
        "/model/{}/{}",
        MODEL.replace(':', "%3a"),
        operation.segment()
    );
    let request = RawRequest::new(
        operation,
        target.model().clone(),
        path.parse().unwrap(),
        HeaderMap::new(),
        BODY.into(),
    );
    Invocation::new(target, request)
}

/// Calls the leaf, and hands the upstream's side of it to `serve`.
async fn call(
    fake: &mut Fake,
    invocation: Invocation<RawRequest>,
    serve: impl AsyncFnOnce(Call),
) -> Result<RawResponse, UpstreamError> {
    let endpoint = Endpoint::At(Scheme::HTTP, fake.address.to_string().parse().unwrap());
    let upstream = Upstream::new(endpoint, Signer::nobody()).unwrap();
    let (answer, ()) = tokio::join!(soon(upstream.oneshot(invocation)), async {
        serve(fake.call().await).await;
    });
    answer
}

async fn answer(call: Call) {
    call.answer(200, &[], "{}").await;
}

fn completion(answer: &mut RawResponse) -> Arc<Mutex<Option<Completion>>> {
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    answer.on_completion(move |completion| {
        let before = tell.lock().unwrap().replace(*completion);
        assert_eq!(before, None, "told twice");
    });
    told
}

#[tokio::test]
async fn unary_answers_tell_what_they_cost_at_once() {
    let mut fake = Fake::new().await;
    let converse = r#"{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8}}"#;
    let counts = [
        ("x-amzn-bedrock-input-token-count", "3"),
        ("x-amzn-bedrock-output-token-count", "5"),
    ];
    for (operation, headers, body, usage) in [
        (Operation::Converse, &[][..], converse, Some(USAGE)),
        (Operation::InvokeModel, &counts, "{}", Some(USAGE)),
        (Operation::InvokeModel, &[], converse, None),
        (
            Operation::CountTokens,
            &[],
            "{}",
            Some(TokenUsage::default()),
        ),
    ] {
        let answer = call(&mut fake, invocation(operation), async |call| {
            call.answer(200, headers, body).await;
        });
        let told = completion(&mut answer.await.unwrap());
        let completion = told.lock().unwrap().unwrap();
        assert_eq!(
            (completion.outcome, completion.usage),
            (Outcome::Complete, usage)
        );
    }
}

#[tokio::test]
async fn streams_tell_how_they_ended_once_they_have() {
    let mut fake = Fake::new().await;
    for (operation, whole) in [
        (Operation::ConverseStream, Whole::converse()),
        (Operation::InvokeModelWithResponseStream, Whole::invoke()),
    ] {
        let answer = call(&mut fake, invocation(operation), async |mut call| {
            call.begin_stream().await;
            call.chunk(whole.begun()).await;
        });
        let mut answer = answer.await.unwrap();
        let told = completion(&mut answer);
        assert_eq!(*told.lock().unwrap(), None);
        drop(answer);
        let completion = told.lock().unwrap().unwrap();
        assert_eq!(completion.outcome, Outcome::Dropped);
        assert!(completion.time_to_first_token.is_some());
    }
}

#[tokio::test]
async fn what_comes_before_the_first_content_is_an_error_with_its_fault() {
    let mut fake = Fake::new().await;
    let throttled = exception("throttlingException", "Too many tokens, please wait.");
    let answer = call(
        &mut fake,
        invocation(Operation::ConverseStream),
        async |mut call| {
            call.begin_stream().await;
            call.chunk(&throttled).await;
        },
    );
    let error = answer.await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);

    let answer = call(
        &mut fake,
        invocation(Operation::ConverseStream),
        async |mut call| {
            call.begin_stream().await;
            call.reset();
        },
    );
    let error = answer.await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    let error = error.update_history(|history| history.attempts = 2);
    assert_eq!(error.history().unwrap().attempts, 2);
}

#[tokio::test]
async fn the_path_is_the_received_one_until_the_call_is_re_targeted() {
    use tower_bedrock_core::HasTarget;

    let mut fake = Fake::new().await;
    let same = invocation(Operation::Converse);
    let received = format!("/model/{}/converse", MODEL.replace(':', "%3a"));
    let mut other = same.clone();
    let arn = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.a.b-v1:0";
    other.set_target(Target::parse("us-west-2", arn).unwrap());
    let encoded = "/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Ainference-profile%2Fus.a.b-v1%3A0/converse";
    for (invocation, path) in [(same, &*received), (other, encoded)] {
        let result = call(&mut fake, invocation, async |call| {
            assert_eq!(call.path, path);
            answer(call).await;
        });
        result.await.unwrap();
    }
}

#[tokio::test]
async fn the_body_is_the_received_one_until_the_envelope_says_otherwise() {
    let mut fake = Fake::new().await;
    let same = invocation(Operation::Converse);
    let bounded = same
        .clone()
        .with_demand(Demand::new(1).with_max_output_tokens(7));
    let tier = Target::parse("us-east-1", MODEL)
        .unwrap()
        .with_service_tier(ServiceTier::Flex);
    let tiered = Invocation::new(tier.clone(), same.input().clone());
    let invoke = invocation(Operation::InvokeModel).into_input();
    let tiered_invoke = Invocation::new(tier, invoke);
    let messages = &BODY[1..BODY.len() - 1];
    for (invocation, body, header) in [
        (same, BODY.to_owned(), ""),
        (
            bounded,
            format!(r#"{{"inferenceConfig":{{"maxTokens":7}},{messages}}}"#),
            "",
        ),
        (
            tiered,
            format!(r#"{{{messages},"serviceTier":{{"type":"flex"}}}}"#),
            "",
        ),
        (tiered_invoke, BODY.to_owned(), "flex"),
    ] {
        let result = call(&mut fake, invocation, async |call| {
            assert_eq!(String::from_utf8_lossy(&call.body), body);
            assert_eq!(call.header("x-amzn-bedrock-service-tier"), header);
            answer(call).await;
        });
        result.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_told_of_a_clone_holds_for_it() {
    let target = Target::parse("us-east-1", MODEL).unwrap();
    let body = r#"{"messages":[],"inferenceConfig":{"maxTokens":7}}"#;
    let path = format!("/model/{MODEL}/converse").parse().unwrap();
    let model = target.model().clone();
    let headers = HeaderMap::new();
    let request = RawRequest::new(Operation::Converse, model, path, headers, body.into());
    let told = request
        .clone()
        .with_max_output_tokens(Some(7))
        .with_cacheable(false);
    assert!(request.is_cacheable() && !told.is_cacheable());

    let demand = Demand::new(1).with_max_output_tokens(7);
    let invocation = Invocation::new(target, told).with_demand(demand);
    let mut fake = Fake::new().await;
    let answer = call(&mut fake, invocation, async |call| {
        assert_eq!(
            call.body,
            body.as_bytes(),
            "its own bound is no reason to rewrite it"
        );
        call.answer(200, &[], "{}").await;
    });
    answer.await.unwrap();
}
