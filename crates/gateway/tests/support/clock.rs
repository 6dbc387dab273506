//! A clock that goes on as ever, and takes leaps.

use std::{sync::mpsc, thread, time::Duration};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time,
};

/// The clock of a test's runtime, which has to be of one thread. Time passes as it does outside, so that connections
/// and servers work as ever; a minute of waiting is a leap.
pub struct Clock {
    ticks: JoinHandle<()>,
    // While a blocking task runs, a paused clock stands still until it is told to advance.
    _holds: mpsc::Sender<()>,
}

impl Clock {
    pub fn start() -> Self {
        time::pause();
        let (holds, released) = mpsc::channel::<()>();
        spawn_blocking(move || {
            let _ = released.recv();
        });
        let ticks = tokio::spawn(async {
            const TICK: Duration = Duration::from_millis(1);
            loop {
                let _ = spawn_blocking(|| thread::sleep(TICK)).await;
                time::advance(TICK).await;
            }
        });
        Self {
            ticks,
            _holds: holds,
        }
    }

    pub async fn leap(&self, by: Duration) {
        time::advance(by).await;
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.ticks.abort();
    }
}
