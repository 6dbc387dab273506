//! The end of a run.

use tokio::time::{Duration, Instant, sleep};

use crate::support::{Asked, Told, attempts_of_next, queue_of, worker};

const SECOND: Duration = Duration::from_secs(1);
/// The time that a receipt under way has to end.
const AT_ONCE: Duration = Duration::from_millis(300);

#[tokio::test(start_paused = true)]
async fn calls_under_way_go_back_at_once() {
    let queue = queue_of(["for 100 s"]);
    let asked = Asked::default();
    let started = Instant::now();
    let report = worker(&queue, &asked)
        .build()
        .unwrap()
        .run_until(sleep(SECOND * 5))
        .await;
    assert_eq!((report.given_back, asked.len()), (1, 1));
    // There for the next worker without waiting for the lease, and it was no attempt.
    assert_eq!(attempts_of_next(&queue).await, 1);
    assert!(started.elapsed() < AT_ONCE + SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_may_be_given_time_to_end() {
    let queue = queue_of(["for 10 s", "for 100 s"]);
    let asked = Asked::default();
    let started = Instant::now();
    let report = worker(&queue, &asked)
        .drain(SECOND * 30)
        .build()
        .unwrap()
        .run_until(sleep(SECOND))
        .await;
    assert_eq!((report.answered, report.given_back), (1, 1));
    assert!(started.elapsed() < AT_ONCE + SECOND * 31);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_goes_back_whatever_time_calls_are_given() {
    let queue = queue_of(["a", "b"]);
    let (asked, headroom) = (Asked::default(), Told::default());
    headroom.tell(SECOND * 10);
    let started = Instant::now();
    let report = worker(&queue, &asked)
        .headroom(headroom)
        .drain(Duration::MAX)
        .build()
        .unwrap()
        .run_until(sleep(SECOND * 5))
        .await;
    assert_eq!((report.given_back, asked.len()), (2, 0));
    assert!(started.elapsed() < AT_ONCE + SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_after_the_stop() {
    let queue = queue_of((0..100).map(|number| number.to_string()));
    let asked = Asked::default();
    worker(&queue, &asked)
        .concurrency(1)
        .drain(SECOND * 100)
        .build()
        .unwrap()
        .run_until(sleep(SECOND * 5 + SECOND / 2))
        .await;
    assert_eq!(asked.len(), 6);
    assert_eq!(queue.len(), 94);
}
