//! What goes wrong, and whose doing it is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::time::{Duration, Instant, sleep};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind};
use tower_bedrock_queue::{Cause, MemoryQueue, Message, Queue as _, Verdict, Worker};

use crate::support::{Asked, Call, codec, queue_of, worker};

/// What was set aside, by key: the cause and the attempts.
fn set_aside(queue: &MemoryQueue) -> Vec<(String, &'static str, u32)> {
    let dead = queue.dead_letters();
    dead.iter()
        .map(|(message, why)| (message.key().to_owned(), why.cause.as_str(), why.attempts))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn poison_does_not_stop_the_line() {
    let healthy = (0..20).map(|number| format!("prompt {number}"));
    let queue = queue_of(["validation", "model_error"].map(str::to_owned));
    queue.send(Message::new("not text", Bytes::from_static(&[0xff])));
    for body in healthy {
        queue.send(Message::new(body.clone(), body));
    }
    let asked = Asked::default();
    let started = Instant::now();
    let report = worker(&queue, &asked)
        .concurrency(1)
        .max_attempts(3)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!((report.answered, report.set_aside), (20, 3));
    let mut expected = vec![
        ("validation".to_owned(), "ValidationException", 1),
        ("not text".to_owned(), "unreadable", 1),
        ("model_error".to_owned(), "ModelErrorException", 3),
    ];
    let mut seen = set_aside(&queue);
    expected.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(asked.times("model_error"), 3);
    // Its attempts were made among the others', one second and two after.
    assert_eq!(started.elapsed(), Duration::from_secs(24));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_messages_doing_never_counts() {
    let queue = queue_of(["throttled", "access_denied", "transport"]);
    let asked = Asked::default();
    let hour = tokio::time::sleep(Duration::from_secs(3_600));
    let report = worker(&queue, &asked)
        .max_attempts(1)
        .build()
        .unwrap()
        .run_until(hour)
        .await;
    assert_eq!(report.set_aside, 0);
    assert!(asked.len() > 100);
    assert_eq!(queue.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_turns_everything_away_is_asked_now_and_then() {
    const MINUTE: Duration = Duration::from_secs(60);
    let queue = MemoryQueue::new();
    for number in 0..1_000 {
        queue.send(Message::new(number.to_string(), "fine"));
    }
    let from = Instant::now() + 10 * MINUTE;
    let asked = Arc::new(AtomicUsize::new(0));
    let service = {
        let asked = Arc::clone(&asked);
        tower::service_fn(move |call: Call| {
            asked.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(50)).await;
                if Instant::now() < from {
                    return Err(BoxError::from(Fault::new(FaultKind::AccessDenied)));
                }
                Ok(Answer::new(call.into_input()))
            }
        })
    };
    let worker = Worker::builder(queue.clone(), service, codec())
        .max_attempts(1)
        .build()
        .unwrap();
    let report = worker
        .run_until(async {
            sleep(10 * MINUTE).await;
            // Those that were under way when it began, and then one at a time, at last every thirty seconds.
            let turned_away = asked.load(Ordering::Relaxed);
            assert!((20..=45).contains(&turned_away), "{turned_away}");
            // With its rights back everything is done, at full speed.
            let drained = tokio::time::timeout(2 * MINUTE, queue.drained());
            drained.await.unwrap();
        })
        .await;
    assert_eq!((report.answered, report.set_aside), (1_000, 0));
}

#[tokio::test(start_paused = true)]
async fn another_rule_judges_otherwise() {
    let queue = queue_of(["throttled"]);
    let report = worker(&queue, &Asked::default())
        .verdict(|_| Verdict::SetAside)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!(report.set_aside, 1);
    let (_, why) = &queue.dead_letters()[0];
    assert_eq!(why.cause, Cause::Fault(FaultKind::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_takes_its_worker_down_is_set_aside_in_the_end() {
    let queue = queue_of(["killer"]);
    for _ in 0..3 {
        // Received, and never heard of again.
        queue.receive(1, Duration::from_secs(60)).await.unwrap();
    }
    let asked = Asked::default();
    worker(&queue, &asked)
        .max_attempts(3)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!(set_aside(&queue), [("killer".to_owned(), "abandoned", 3)]);
    assert_eq!(asked.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_holds_a_body_or_a_key() {
    let queue = queue_of(["canary"]);
    let deliveries = queue.receive(1, Duration::from_secs(60)).await.unwrap();
    let text = format!("{queue:?} {deliveries:?}");
    assert!(!text.contains("canary"), "{text}");
}
