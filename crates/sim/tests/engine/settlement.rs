//! What a call reserves, what it costs, and that it is settled whatever becomes of it.

use std::{
    future::{Future, poll_fn},
    task::Poll,
};

use bedrock_sim::{Input, ModelSettings, Prompt, StopReason};
use tokio::time::{Duration, Instant, advance, sleep, timeout};

use crate::support::{
    ACME, CLAUDE, acme, ask, ask_streamed, call, last, prompt, target, tokens_used,
};

#[tokio::test(start_paused = true)]
async fn worked_examples_of_the_documentation() {
    let simulator = bedrock_sim::Simulator::default();
    // (input, output, max_tokens) = (reserved, settled), at 5 tokens of quota an output token.
    for ((input, output, max_tokens), (reserved, settled)) in [
        ((1_000, 100, 100), (1_100, 1_500)),
        ((10, 750, 750), (760, 3_760)),
        ((2_005, 200, 200), (2_205, 3_005)),
        ((6, 12, 12), (18, 66)),
        ((1_000, 100, 64_000), (65_000, 1_500)),
        ((8_000, 100, 32_000), (40_000, 8_500)),
    ] {
        simulator.reset();
        let call = call(CLAUDE, input)
            .with_max_tokens(max_tokens)
            .with_output_tokens(output);
        let admitted = simulator.begin(&call).unwrap();
        assert_eq!(tokens_used(&simulator, CLAUDE), reserved);
        admitted.complete();
        assert_eq!(tokens_used(&simulator, CLAUDE), settled);
        let entry = last(&simulator);
        assert_eq!((entry.reserved, entry.settled), (reserved, settled));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unset_max_tokens_reserves_the_models_maximum() {
    let simulator = bedrock_sim::Simulator::default();
    let _admitted = simulator.begin(&call(CLAUDE, 1_000)).unwrap();
    assert_eq!(tokens_used(&simulator, CLAUDE), 65_000);
    assert_eq!(last(&simulator).max_tokens, 64_000);
}

#[tokio::test(start_paused = true)]
async fn cache_reads_are_reserved_and_cost_nothing() {
    let simulator = bedrock_sim::Simulator::default();
    let call = call(CLAUDE, 100)
        .with_cache(5_000, 700)
        .with_max_tokens(50)
        .with_output_tokens(10);
    let admitted = simulator.begin(&call).unwrap();
    assert_eq!(tokens_used(&simulator, CLAUDE), 100 + 5_000 + 700 + 50);
    admitted.complete();
    assert_eq!(tokens_used(&simulator, CLAUDE), 100 + 700 + 10 * 5);
    assert_eq!(last(&simulator).input_tokens, 5_800);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_when_it_is_due_and_tells_its_usage() {
    let simulator = acme(ModelSettings::default());
    let began = Instant::now();
    let answer = ask(&simulator, prompt(1_000, 200).to(target(ACME)))
        .await
        .unwrap();
    // A second to the first token, and 200 tokens at 50 a second.
    assert_eq!(began.elapsed(), Duration::from_secs(1 + 4));
    let usage = answer.usage().unwrap();
    assert_eq!((usage.input, usage.output), (1_000, 200));
    assert_eq!(answer.output().stop_reason(), StopReason::EndTurn);
    assert!(
        answer
            .output()
            .text()
            .starts_with("This is a simulated answer from bedrock-sim.")
    );
    let entry = last(&simulator);
    assert_eq!(
        (entry.outcome, entry.status, entry.ended_ms),
        ("ok", Some(200), Some(5_000))
    );
}

#[tokio::test(start_paused = true)]
async fn max_tokens_cut_the_answer_short() {
    let simulator = acme(ModelSettings::default());
    let invocation = prompt(10, 200).with_max_output_tokens(30).to(target(ACME));
    let answer = ask(&simulator, invocation).await.unwrap();
    assert_eq!(answer.usage().unwrap().output, 30);
    assert_eq!(answer.output().stop_reason(), StopReason::MaxTokens);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_polled_never_was() {
    let simulator = acme(ModelSettings::default());
    drop(ask(&simulator, prompt(10, 20).to(target(ACME))));
    assert!(simulator.ledger().entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_costs_what_was_generated() {
    let simulator = acme(ModelSettings {
        tokens_per_minute: Some(Some(100_000)),
        burndown: Some(3),
        ..ModelSettings::default()
    });
    // Dropped after so many milliseconds: how many of its 100 tokens were generated, in deltas of five?
    for (after, generated) in [
        (0, 0),
        (999, 0),
        (1_000, 5),
        (1_099, 5),
        (1_100, 10),
        (2_999, 100),
    ] {
        simulator.reset();
        let invocation = prompt(40, 100).with_max_output_tokens(500).to(target(ACME));
        let mut pending = Box::pin(ask(&simulator, invocation));
        poll_fn(|cx| {
            assert!(pending.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(tokens_used(&simulator, ACME), 540);
        advance(Duration::from_millis(after)).await;
        drop(pending);
        assert_eq!(
            tokens_used(&simulator, ACME),
            40 + generated * 3,
            "after {after} ms"
        );
        let entry = last(&simulator);
        assert_eq!((entry.outcome, entry.output_tokens), ("dropped", generated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_costs_what_was_generated() {
    let simulator = acme(ModelSettings {
        tokens_per_minute: Some(Some(100_000)),
        burndown: Some(5),
        ..ModelSettings::default()
    });
    for deltas in 1..=20 {
        simulator.reset();
        let invocation = prompt(40, 100).streamed().to(target(ACME));
        let mut stream = ask_streamed(&simulator, invocation).await.unwrap();
        for _ in 0..deltas {
            stream.recv().await.unwrap().unwrap();
        }
        drop(stream);
        assert_eq!(tokens_used(&simulator, ACME), 40 + 5 * deltas * 5);
        assert_eq!(last(&simulator).outcome, "dropped");
    }
}

/// Whatever is dropped whenever, nothing stays reserved.
#[tokio::test(start_paused = true)]
async fn nothing_leaks_wherever_a_future_is_dropped() {
    let simulator = acme(ModelSettings {
        tokens_per_minute: Some(Some(1_000_000)),
        ..ModelSettings::default()
    });
    for patience in (0..4_000).step_by(37) {
        let patience = Duration::from_millis(patience);
        let whole = ask(&simulator, prompt(10, 60).to(target(ACME)));
        let _ = timeout(patience, whole).await;
        let streamed = async {
            let invocation = prompt(10, 60).streamed().to(target(ACME));
            let mut stream = ask_streamed(&simulator, invocation).await.unwrap();
            while stream.recv().await.is_some() {}
        };
        let _ = timeout(patience, streamed).await;
    }
    let ledger = simulator.ledger();
    assert!(
        ledger
            .entries
            .iter()
            .all(|entry| entry.outcome != "in_flight")
    );
    sleep(Duration::from_secs(60)).await;
    assert_eq!(tokens_used(&simulator, ACME), 0);
}

#[tokio::test(start_paused = true)]
async fn counting_tokens_is_free() {
    let simulator = bedrock_sim::Simulator::default();
    let mut counting = call(CLAUDE, 5_000_000);
    counting.operation = bedrock_sim::Operation::CountTokens;
    let admitted = simulator.begin(&counting).unwrap();
    assert_eq!(admitted.plan().usage().input, 5_000_000);
    assert_eq!(admitted.plan().duration(), Duration::ZERO);
    admitted.complete();
    assert_eq!(tokens_used(&simulator, CLAUDE), 0);
}

/// Two models count one text differently, and neither as a client would by its bytes.
#[tokio::test(start_paused = true)]
async fn no_estimate_is_exact() {
    let simulator = bedrock_sim::Simulator::default();
    let mut input = Input::default();
    input.add_text(&"fn main() { println!(\"{}\", 6 * 7); }\n".repeat(50));
    let prompt = Prompt::new(input);
    let counts: Vec<u64> = [CLAUDE, "us.amazon.nova-lite-v1:0"]
        .iter()
        .map(|model| {
            let target = target(model);
            simulator
                .count_tokens(target.region(), target.model(), &input)
                .unwrap()
        })
        .collect();
    assert_ne!(counts[0], counts[1]);
    assert!(!counts.contains(&prompt.demand().input_tokens()));
}

#[tokio::test(start_paused = true)]
async fn polling_tells_nothing_before_its_time() {
    let simulator = acme(ModelSettings::default());
    let mut future = Box::pin(ask(&simulator, prompt(10, 50).to(target(ACME))));
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.unwrap()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    assert_eq!(polls, 2);
}
