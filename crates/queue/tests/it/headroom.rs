//! Work is taken only when there is room for it.

use tokio::time::{Duration, sleep, timeout};

use crate::support::{Asked, Told, attempts_of_next, queue_of, worker};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_while_there_is_no_room() {
    let queue = queue_of((0..100).map(|number| number.to_string()));
    let (asked, headroom) = (Asked::default(), Told::default());
    let worker = worker(&queue, &asked)
        .concurrency(4)
        .headroom(headroom.clone())
        .build()
        .unwrap();
    let people = async {
        sleep(SECOND * 5 + SECOND / 2).await;
        // They come back: what is under way ends, and nothing more begins.
        headroom.tell(SECOND * 60);
        let before = asked.len();
        sleep(SECOND * 600).await;
        assert_eq!(asked.len(), before);
        // Of those that were received none was kept: each of the four places gave its message back.
        headroom.tell(Duration::ZERO);
        sleep(SECOND * 2).await;
        assert!(asked.len() > before);
        queue.drained().await;
    };
    let report = worker.run_until(people).await;
    assert_eq!(report.answered, 100);
    assert!(report.given_back <= 4, "{report:?}");
    assert_eq!(queue.dead_letters(), []);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_held_for_a_short_wait_and_given_back_for_a_long_one() {
    let queue = queue_of(["a"]);
    let (asked, headroom) = (Asked::default(), Told::default());
    headroom.tell(SECOND * 5);
    let worker = worker(&queue, &asked)
        .headroom(headroom.clone())
        .max_hold(SECOND * 20)
        .build()
        .unwrap();
    let run = timeout(
        SECOND * 300,
        worker.clone().run_until(std::future::pending()),
    );
    assert!(run.await.is_err());
    assert_eq!(asked.len(), 0);
    // Asked every second while it is held, and of little use in between.
    assert!(
        (50..310).contains(&headroom.asked()),
        "{}",
        headroom.asked()
    );
    // Once there is room it is answered, and nothing of that counted as an attempt.
    headroom.tell(Duration::ZERO);
    let report = worker.run_until(queue.drained()).await;
    assert_eq!((report.answered, asked.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn giving_back_for_lack_of_room_is_no_attempt() {
    let queue = queue_of(["a"]);
    let headroom = Told::default();
    headroom.tell(SECOND * 100);
    let asked = Asked::default();
    let worker = worker(&queue, &asked).headroom(headroom).build().unwrap();
    let report = worker.run_until(sleep(SECOND * 1_000)).await;
    assert!(report.given_back >= 9, "{report:?}");
    assert_eq!(attempts_of_next(&queue).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_no_wait_would_help_is_for_the_service_to_say() {
    let queue = queue_of(["quota_exhausted", "fine"]);
    let (asked, headroom) = (Asked::default(), Told::default());
    headroom.tell(Duration::MAX);
    let worker = worker(&queue, &asked)
        .headroom(headroom)
        .max_attempts(2)
        .build()
        .unwrap();
    let report = worker.run_until(queue.drained()).await;
    assert_eq!((report.answered, report.set_aside), (1, 1));
    assert_eq!(asked.times("quota_exhausted"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_to_others_is_asked_for_on_top() {
    let queue = queue_of(["a"]);
    let headroom = Told::default();
    worker(&queue, &Asked::default())
        .headroom(headroom.clone())
        .leave_tokens(10_000)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    let demand = headroom.demand().unwrap();
    assert_eq!(demand.input_tokens(), 100);
    assert_eq!(demand.max_output_tokens(), Some(10_200));
}
