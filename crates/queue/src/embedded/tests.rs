//! A disk that fails.

use std::{
    io::{Error, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{Database, StorageBackend};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use super::{EmbeddedError, EmbeddedQueue, file::File};
use crate::{Message, Queue as _, Results as _};

#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
    is_stuck: Arc<AtomicBool>,
    /// That somebody waits for it meanwhile.
    stuck: Arc<Notify>,
}

impl Disk {
    fn room(&self) -> Result<(), Error> {
        if self.is_full.load(Relaxed) {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn queue(&self) -> EmbeddedQueue {
        let disk = self.clone();
        let open = move || Ok(Database::builder().create_with_backend(disk.clone())?);
        EmbeddedQueue::on(File::opened_by(open)).unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let at = offset as usize;
        out.copy_from_slice(&self.bytes.lock()[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.room()?;
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        while self.is_stuck.load(Relaxed) {
            self.stuck.notify_one();
            thread::yield_now();
        }
        self.room()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.room()?;
        let at = offset as usize;
        self.bytes.lock()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn is_refused<T>(result: Result<T, EmbeddedError>) -> bool {
    matches!(result, Err(EmbeddedError::Store(_)))
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_has_no_room_for_until_it_has() {
    let disk = Disk::default();
    let queue = disk.queue();
    for key in ["a", "b"] {
        assert!(queue.send(Message::new(key, "work")).await.unwrap());
    }
    let minute = Duration::from_secs(60);
    let first = queue.receive(1, minute).await.unwrap().remove(0);

    disk.is_full.store(true, Relaxed);
    for _ in 0..3 {
        assert!(is_refused(queue.receive(9, minute).await));
        assert!(is_refused(queue.put("a", Bytes::from_static(b"A")).await));
        assert!(is_refused(queue.complete(first.receipt).await));
        assert!(is_refused(queue.send(Message::new("c", "work")).await));
    }

    disk.is_full.store(false, Relaxed);
    queue.put("a", Bytes::from_static(b"A")).await.unwrap();
    queue.complete(first.receipt).await.unwrap();
    assert!(queue.send(Message::new("c", "work")).await.unwrap());
    assert_eq!(queue.result("a").await.unwrap().unwrap(), "A");
    let rest = queue.receive(9, minute).await.unwrap();
    let keys = rest.iter().map(|delivery| delivery.message.key());
    assert_eq!(keys.collect::<Vec<_>>(), ["b", "c"]);

    // And so it is on the disk.
    drop(queue);
    let queue = disk.queue();
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.result("a").await.unwrap().unwrap(), "A");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_dropped_over_a_slow_disk_was_no_attempt() {
    let disk = Disk::default();
    let queue = disk.queue();
    let minute = Duration::from_secs(60);
    assert!(queue.send(Message::new("a", "work")).await.unwrap());
    for _ in 0..3 {
        disk.is_stuck.store(true, Relaxed);
        tokio::select! {
            biased;
            received = queue.receive(1, minute) => panic!("{received:?}"),
            () = disk.stuck.notified() => {}
        }
        disk.is_stuck.store(false, Relaxed);
    }
    let began = Instant::now();
    let received = queue.receive(1, minute).await.unwrap();
    assert_eq!(received[0].attempts, 1);
    assert_eq!(began.elapsed(), Duration::ZERO, "it waited for the lease");
}
