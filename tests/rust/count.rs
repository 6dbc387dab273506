//! Large prompts are counted by Bedrock before they are admitted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use aws_sdk_bedrockruntime::{
    operation::converse::ConverseInput,
    types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock::{
    HasDemand as _, HasTarget as _, Invocation,
    count::CountLarge,
    quota::{LimitTable, Limits, QuotaLayer, QuotaPattern},
};

use crate::local::{Local, MODEL};

const MAX_TOKENS: u64 = 10;

fn input(text: String) -> ConverseInput {
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(text))
        .build();
    ConverseInput::builder()
        .model_id(MODEL)
        .messages(message.unwrap())
        .inference_config(
            InferenceConfiguration::builder()
                .max_tokens(MAX_TOKENS as i32)
                .build(),
        )
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_large_prompt_reserves_what_is_counted() {
    for local in Local::both().await {
        let leaf = local.bedrock();
        let limits = Limits::new().with_tokens_per_minute(10_000_000);
        let limits = LimitTable::new().with(QuotaPattern::any(), limits);
        let quota = QuotaLayer::with_limits(limits).unwrap();
        let limiter = quota.limiter().clone();
        // What is reserved while a call is under way.
        let reserved = Arc::new(AtomicU64::new(0));
        let inner = service_fn(|call: Invocation<ConverseInput>| {
            let snapshot = limiter.snapshot(call.target()).unwrap();
            reserved.store(snapshot.tokens_in_flight, Relaxed);
            leaf.clone().oneshot(call)
        });
        let service = quota
            .with_count(CountLarge::new(leaf.clone()).over(5_000))
            .layer(inner);

        for (text, is_counted) in [("hello ".repeat(10), false), ("x".repeat(40_000), true)] {
            let call = leaf.invocation(input(text)).unwrap();
            let estimate = call.demand().input_tokens();
            assert_eq!(estimate > 5_000, is_counted);
            let answer = service.clone().oneshot(call).await.unwrap();
            let true_input = answer.usage().unwrap().input;
            assert_ne!(estimate, true_input, "so that a count makes a difference");
            let expected = if is_counted { true_input } else { estimate };
            assert_eq!(reserved.load(Relaxed), expected + MAX_TOKENS);
        }
    }
}
