//! The queue in a file.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use tempfile::TempDir;
use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target};
use tower_bedrock_queue::{
    Cause, DeadLetter, EmbeddedError, EmbeddedQueue, Message, Queue as _, Results as _, Worker,
    codec_fn,
};

const MINUTE: Duration = Duration::from_secs(60);

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue");
    (folder, path)
}

fn work(key: &str) -> Message {
    Message::new(key, format!("body of {key}"))
}

/// The keys of what can be received now, and how often each was attempted.
async fn receive(queue: &EmbeddedQueue) -> Vec<(String, u32)> {
    let deliveries = queue.receive(100, MINUTE).await.unwrap();
    deliveries
        .iter()
        .map(|delivery| (delivery.message.key().to_owned(), delivery.attempts))
        .collect()
}

fn seen(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    let owned = |(key, attempts): &(&str, u32)| ((*key).to_owned(), *attempts);
    expected.iter().map(owned).collect()
}

#[tokio::test(start_paused = true)]
async fn all_that_matters_survives_the_process() {
    let (_folder, path) = file();
    {
        let queue = EmbeddedQueue::open(&path).unwrap();
        let messages = ["a", "b", "c", "d"].map(work).to_vec();
        assert_eq!(queue.send_all(messages).await.unwrap(), 4);
        let mut deliveries = queue.receive(3, MINUTE).await.unwrap();
        assert_eq!(deliveries[1].message, work("b"));
        let (a, b) = (deliveries.remove(0), deliveries.remove(0));
        queue.put("a", Bytes::from_static(b"A")).await.unwrap();
        queue.complete(a.receipt).await.unwrap();
        let why = DeadLetter::new(Cause::Unreadable, 1).with_detail(Some("why".into()));
        queue.dead_letter(b.receipt, b.message, why).await.unwrap();
        assert_eq!(queue.len(), 2);
    }
    let queue = EmbeddedQueue::open(&path).unwrap();
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.result("a").await.unwrap().unwrap(), "A");
    let dead = queue.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].message.key(), &*dead[0].cause),
        ("b", "unreadable")
    );
    assert_eq!(dead[0].detail.as_deref(), Some(&b"why"[..]));
    // The attempt of the process that is gone counts; its lease doesn't.
    assert_eq!(receive(&queue).await, seen(&[("c", 2), ("d", 1)]));

    // What was set aside can be had again, from the beginning.
    assert!(queue.redrive("b").await.unwrap());
    assert!(!queue.redrive("b").await.unwrap());
    assert_eq!(receive(&queue).await, seen(&[("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn the_same_work_is_there_once() {
    let (_folder, path) = file();
    let queue = EmbeddedQueue::open(&path).unwrap();
    let twice = vec![work("a"), work("a"), work("b")];
    assert_eq!(queue.send_all(twice).await.unwrap(), 2);
    assert!(!queue.send(work("a")).await.unwrap());
    let delivery = queue.receive(1, MINUTE).await.unwrap().remove(0);
    queue.put("a", Bytes::new()).await.unwrap();
    queue.complete(delivery.receipt).await.unwrap();
    // Done, and known to be.
    assert!(!queue.send(work("a")).await.unwrap());
    assert!(queue.remove_result("a").await.unwrap());
    assert!(queue.send(work("a")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_good_until_another_has_the_message() {
    let (_folder, path) = file();
    let queue = EmbeddedQueue::open(&path).unwrap();
    queue.send(work("a")).await.unwrap();
    let late = queue.receive(1, MINUTE).await.unwrap().remove(0);
    tokio::time::sleep(MINUTE * 2).await;
    let other = queue.receive(1, MINUTE).await.unwrap().remove(0);
    assert_eq!(other.attempts, 2);
    let lost = queue.complete(late.receipt).await;
    assert!(matches!(lost, Err(EmbeddedError::LeaseLost(_))), "{lost:?}");
    queue
        .give_back(other.receipt, MINUTE * 5, false)
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    // Waits for its time by itself; that delivery did not count.
    assert_eq!(receive(&queue).await, seen(&[("a", 2)]));
    assert_eq!(before.elapsed(), MINUTE * 5);
}

#[tokio::test]
async fn a_file_is_one_processs_at_a_time_and_one_programs() {
    let (folder, path) = file();
    let queue = EmbeddedQueue::open(&path).unwrap();
    let second = EmbeddedQueue::open(&path);
    assert!(matches!(second, Err(EmbeddedError::Store(_))), "{second:?}");
    drop(queue);
    EmbeddedQueue::open(&path).unwrap();

    // Nothing is left of how it was made, and one that is there may be empty.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let empty = folder.path().join("empty");
    std::fs::File::create(&empty).unwrap();
    EmbeddedQueue::open(&empty).unwrap();

    let other = folder.path().join("other");
    std::fs::write(&other, "dear diary").unwrap();
    assert!(EmbeddedQueue::open(&other).is_err());
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "dear diary");
}

#[tokio::test(start_paused = true)]
async fn a_worker_empties_it() {
    let (_folder, path) = file();
    let queue = EmbeddedQueue::open(&path).unwrap();
    let messages = (0..500).map(|number| work(&number.to_string())).collect();
    queue.send_all(messages).await.unwrap();
    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    let codec = codec_fn(
        move |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            Ok(Invocation::new(target.clone(), prompt).with_demand(Demand::new(1)))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    let service = tower::service_fn(|call: Invocation<String>| async move {
        Ok::<_, BoxError>(Answer::new(call.into_input().to_uppercase()))
    });
    let worker = Worker::builder(queue.clone(), service, codec)
        .results(queue.clone())
        .concurrency(64)
        .build()
        .unwrap();
    let report = worker.run_until(queue.drained()).await;
    assert_eq!((report.answered, queue.len()), (500, 0));
    for number in 0..500 {
        let result = queue.result(&number.to_string()).await.unwrap().unwrap();
        assert_eq!(result, format!("BODY OF {number}"));
    }
}

#[test]
fn a_runtime_that_ends_stops_no_other_ones_writes() {
    let folder = tempfile::tempdir().unwrap();
    let queue = EmbeddedQueue::open(folder.path().join("queue")).unwrap();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (release, released) = std::sync::mpsc::channel::<()>();
    let first = runtime();
    first.block_on(async {
        // The write is behind it when the runtime ends.
        tokio::task::spawn_blocking(move || released.recv());
        let send = tokio::time::timeout(Duration::ZERO, queue.send(work("a")));
        assert!(send.await.is_err());
    });
    first.shutdown_background();
    drop(release);
    runtime().block_on(async {
        let mut sent = false;
        // Told that it stopped, it may be sent again.
        for _ in 0..10 {
            let send = tokio::time::timeout(MINUTE, queue.send(work("b")));
            sent |= send.await.unwrap().is_ok();
        }
        assert!(sent);
    });
}

#[test]
fn another_programs_database_is_left_alone() {
    const THEIRS: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("theirs");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs");
    let tables = || {
        use redb::{ReadableDatabase as _, TableHandle as _};
        let database = redb::Database::open(&path).unwrap();
        let read = database.begin_read().unwrap();
        let tables = read.list_tables().unwrap();
        tables
            .map(|table| table.name().to_owned())
            .collect::<Vec<_>>()
    };
    let database = redb::Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(THEIRS).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let opened = EmbeddedQueue::open(&path);
    assert!(matches!(opened, Err(EmbeddedError::Version)), "{opened:?}");
    assert_eq!(tables(), ["theirs"]);
}
