//! What goes well.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::BoxError;
use tower_bedrock_queue::{DeadLetter, Delivery, MemoryQueue, Message, Queue, Results, Worker};

use crate::support::{Asked, codec, queue_of, service, worker};

#[tokio::test(start_paused = true)]
async fn every_message_is_answered_once_and_no_more_run_at_once_than_may() {
    let queue = queue_of((0..100).map(|number| format!("prompt {number}")));
    let asked = Asked::default();
    let started = Instant::now();
    let worker = worker(&queue, &asked).concurrency(10).build().unwrap();
    // As an application runs it: the future is `Send`.
    let stop = {
        let queue = queue.clone();
        async move { queue.drained().await }
    };
    let report = tokio::spawn(worker.run_until(stop)).await.unwrap();
    assert_eq!((report.answered, report.given_back), (100, 0));
    assert_eq!(asked.len(), 100);
    for number in 0..100 {
        let result = queue.result(&format!("prompt {number}")).unwrap();
        assert_eq!(result, format!("PROMPT {number}"));
    }
    // A hundred seconds of work, ten at a time.
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_not_paid_for() {
    let queue = queue_of(["a"]);
    queue.put("a", Bytes::from_static(b"kept")).await.unwrap();
    let asked = Asked::default();
    let report = worker(&queue, &asked)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!((report.known, report.answered), (1, 0));
    assert_eq!(asked.len(), 0);
    assert_eq!(queue.result("a").unwrap(), "kept");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_its_call_runs() {
    let queue = queue_of(["for 1000 s"]);
    let asked = Asked::default();
    let working = worker(&queue, &asked)
        .visibility(Duration::from_secs(10))
        .build()
        .unwrap()
        .run_until(queue.drained());
    let other = async {
        // Another worker, as hungry: it never gets the message.
        let received = queue.receive(1, Duration::from_secs(10)).await;
        panic!("{received:?}");
    };
    tokio::select! {
        biased;
        report = working => assert_eq!(report.answered, 1),
        () = other => {}
    }
    assert_eq!(asked.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_leaves_its_messages_to_the_next() {
    let queue = queue_of(["for 100 s"]);
    let asked = Asked::default();
    let dropped = worker(&queue, &asked).build().unwrap();
    let run = dropped.run_until(std::future::pending());
    let timeout = tokio::time::timeout(Duration::from_secs(5), run);
    assert!(timeout.await.is_err());
    let report = worker(&queue, &asked)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!((report.answered, asked.len()), (1, 2));
}

/// Takes nothing until the given time.
struct Full {
    until: Instant,
    results: Mutex<Vec<(String, Bytes)>>,
}

impl Results for Full {
    type Error = BoxError;

    async fn has(&self, _: &str) -> Result<bool, BoxError> {
        Ok(false)
    }

    async fn put(&self, key: &str, result: Bytes) -> Result<(), BoxError> {
        if Instant::now() < self.until {
            return Err("the disk is full".into());
        }
        self.results.lock().push((key.to_owned(), result));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_stops_the_line_and_no_answer_is_paid_for_twice() {
    let queue = queue_of(["a", "b", "c"]);
    let asked = Asked::default();
    let results = std::sync::Arc::new(Full {
        until: Instant::now() + Duration::from_secs(600),
        results: Mutex::default(),
    });
    let report = Worker::builder(queue.clone(), service(&asked), codec())
        .results(results.clone())
        .concurrency(2)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!((report.answered, asked.len()), (3, 3));
    assert_eq!(results.results.lock().len(), 3);
}

/// Does not come back while it hangs.
#[derive(Clone)]
struct Hangs {
    until: Instant,
}

impl Results for Hangs {
    type Error = BoxError;

    async fn has(&self, _: &str) -> Result<bool, BoxError> {
        if Instant::now() < self.until {
            std::future::pending().await
        } else {
            Ok(false)
        }
    }

    async fn put(&self, _: &str, _: Bytes) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_come_back_holds_up_nothing_for_good() {
    let queue = queue_of(["a"]);
    let asked = Asked::default();
    let until = Instant::now() + Duration::from_secs(600);
    let worker = Worker::builder(queue.clone(), service(&asked), codec())
        .results(Hangs { until })
        .build()
        .unwrap();
    // The end of a run does not wait for it.
    let stop = tokio::time::sleep(Duration::from_secs(10));
    let stopped = tokio::time::timeout(Duration::from_secs(20), worker.clone().run_until(stop));
    assert_eq!(stopped.await.unwrap().given_back, 1);
    let report = worker.run_until(queue.drained()).await;
    assert_eq!((report.answered, asked.len()), (1, 1));
}

/// A queue whose first renewal of a lease never comes back.
struct OneHangs {
    queue: MemoryQueue,
    renewals: AtomicUsize,
}

impl Queue for OneHangs {
    type Receipt = <MemoryQueue as Queue>::Receipt;
    type Error = <MemoryQueue as Queue>::Error;

    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<Self::Receipt>>, Self::Error> {
        self.queue.receive(max, visibility).await
    }

    async fn extend(
        &self,
        receipt: &Self::Receipt,
        visibility: Duration,
    ) -> Result<(), Self::Error> {
        if self.renewals.fetch_add(1, Ordering::Relaxed) == 0 {
            std::future::pending().await
        } else {
            self.queue.extend(receipt, visibility).await
        }
    }

    async fn complete(&self, receipt: Self::Receipt) -> Result<(), Self::Error> {
        self.queue.complete(receipt).await
    }

    async fn give_back(
        &self,
        receipt: Self::Receipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), Self::Error> {
        self.queue.give_back(receipt, after, counted).await
    }

    async fn dead_letter(
        &self,
        receipt: Self::Receipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), Self::Error> {
        self.queue.dead_letter(receipt, message, why).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_does_not_come_back_is_followed_by_the_next() {
    let queue = queue_of(["for 100 s"]);
    let asked = Asked::default();
    let hangs = OneHangs {
        queue: queue.clone(),
        renewals: AtomicUsize::new(0),
    };
    Worker::builder(std::sync::Arc::new(hangs), service(&asked), codec())
        .visibility(Duration::from_secs(10))
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    assert_eq!(asked.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn work_that_comes_while_it_runs_is_taken_up() {
    let queue = MemoryQueue::new();
    let asked = Asked::default();
    let worker = worker(&queue, &asked).build().unwrap();
    let send = async {
        for number in 0..3 {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            queue.send(Message::new(number.to_string(), "late"));
        }
        queue.drained().await;
    };
    assert_eq!(worker.run_until(send).await.answered, 3);
}
