//! Renewals that take their time to arrive.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Duration, sleep};
use tower_bedrock_queue::{
    DeadLetter, Delivery, LeaseLost, LocalReceipt, MemoryQueue, Message, Queue, Worker,
};

use crate::support::{Asked, codec, queue_of, service};

/// A queue that hears of a renewal half a second after it was asked for, whatever becomes of who asked.
#[derive(Clone)]
struct Far {
    queue: MemoryQueue,
    heard: Arc<Mutex<Vec<&'static str>>>,
}

impl Queue for Far {
    type Receipt = LocalReceipt;
    type Error = LeaseLost;

    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<LocalReceipt>>, LeaseLost> {
        self.queue.receive(max, visibility).await
    }

    async fn extend(&self, receipt: &LocalReceipt, visibility: Duration) -> Result<(), LeaseLost> {
        let (this, receipt) = (self.clone(), *receipt);
        let arrives = tokio::spawn(async move {
            sleep(Duration::from_millis(500)).await;
            this.heard.lock().push("renewed");
            this.queue.extend(&receipt, visibility).await
        });
        arrives.await.unwrap()
    }

    async fn complete(&self, receipt: LocalReceipt) -> Result<(), LeaseLost> {
        self.heard.lock().push("completed");
        self.queue.complete(receipt).await
    }

    async fn give_back(
        &self,
        receipt: LocalReceipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), LeaseLost> {
        self.heard.lock().push("given back");
        self.queue.give_back(receipt, after, counted).await
    }

    async fn dead_letter(
        &self,
        receipt: LocalReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), LeaseLost> {
        self.queue.dead_letter(receipt, message, why).await
    }
}

/// It would hide for the whole of its lease what is there for the next worker.
#[tokio::test(start_paused = true)]
async fn no_renewal_arrives_after_what_it_was_for_has_been_given_back() {
    let queue = Far {
        queue: queue_of(["for 100 s"]),
        heard: Arc::default(),
    };
    // Renewed at every second; stopped in the middle of the third time.
    Worker::builder(queue.clone(), service(&Asked::default()), codec())
        .visibility(Duration::from_secs(3))
        .build()
        .unwrap()
        .run_until(sleep(Duration::from_millis(3_200)))
        .await;
    sleep(Duration::from_secs(10)).await;
    let heard = queue.heard.lock();
    assert_eq!(*heard, ["renewed", "renewed", "renewed", "given back"]);
}
