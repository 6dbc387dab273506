//! Work is taken only when there is room for it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Duration, Instant, sleep, timeout};
use tower_bedrock_core::{Answer, Content, Context, Demand, Headroom, Invocation, Target};
use tower_bedrock_queue::{Message, Worker, codec_fn};

use crate::support::{Asked, Told, attempts_of_next, queue_of, service, target, worker};

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
        headroom.tell(Duration::ZERO);
        sleep(SECOND * 2).await;
        assert!(asked.len() > before);
        queue.drained().await;
    };
    let report = worker.run_until(people).await;
    assert_eq!(report.answered, 100);
    // The four places gave back what they held, and then looked at one message every thirty seconds.
    assert!(report.given_back <= 4 + 600 / 30, "{report:?}");
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

/// Has room for a call by itself, and for one that leaves no more than such a share; notes what is to be left.
#[derive(Clone)]
struct Shares(f64, Arc<Mutex<Vec<f64>>>);

impl Headroom for Shares {
    fn time_to_serve(&self, _: &Target, _: &Demand, _: &Context) -> Duration {
        panic!("not asked what a share is left of");
    }

    fn time_to_serve_leaving(
        &self,
        share: f64,
        _: &Target,
        demand: &Demand,
        _: &Context,
    ) -> Duration {
        assert_eq!(demand.max_output_tokens(), Some(200));
        self.1.lock().push(share);
        if share > self.0 {
            Duration::MAX
        } else {
            Duration::ZERO
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quarter_of_the_limits_is_left_to_others_or_what_they_have_room_for() {
    for (most, expected) in [
        (1.0, [0.25].as_slice()),
        (0.1, &[0.25, 0.0, 0.125, 0.0625]),
        // By itself it is too large for them: that is for the service to say.
        (-1.0, &[0.25, 0.0]),
    ] {
        let queue = queue_of(["a"]);
        let asked = Arc::default();
        worker(&queue, &Asked::default())
            .headroom(((), Some(Arc::new(Shares(most, Arc::clone(&asked))))))
            .build()
            .unwrap()
            .run_until(queue.drained())
            .await;
        let asked = asked.lock();
        assert_eq!(asked[..expected.len()], *expected);
    }
}

/// A quota that is empty at first and has so many tokens after a minute: what asks for more is never served.
#[derive(Clone)]
struct Limit {
    tokens: u64,
    from: Instant,
}

impl Headroom for Limit {
    fn time_to_serve(&self, _: &Target, demand: &Demand, _: &Context) -> Duration {
        let tokens = demand.input_tokens() + demand.max_output_tokens().unwrap_or(0);
        if tokens > self.tokens {
            Duration::MAX
        } else {
            self.from.saturating_duration_since(Instant::now())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_to_others_is_no_more_than_a_limit_has_room_for() {
    let queue = queue_of((0..100).map(|number| number.to_string()));
    let asked = Asked::default();
    let from = Instant::now() + SECOND * 60;
    let worker = worker(&queue, &asked)
        .headroom(Limit {
            tokens: 20_000,
            from,
        })
        .leave_tokens(20_000)
        .build()
        .unwrap();
    let people = async {
        // They use all of it: 300 tokens and 20,000 would never fit, and that is no leave to go ahead.
        sleep(SECOND * 59).await;
        assert_eq!(asked.len(), 0);
        queue.drained().await;
    };
    assert_eq!(worker.run_until(people).await.answered, 100);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_falls_below_the_latest_call_does_not_stop_smaller_ones() {
    let queue = queue_of(["large"]);
    let asked = Asked::default();
    let headroom = Told::default();
    let worker = worker(&queue, &asked)
        .headroom(headroom.clone())
        .concurrency(1)
        .build()
        .unwrap();
    let later = async {
        queue.drained().await;
        headroom.tell(Duration::MAX);
        queue.send(Message::new("small", "small"));
        let drained = timeout(SECOND * 10, queue.drained());
        drained.await.unwrap();
    };
    assert_eq!(worker.run_until(later).await.answered, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_asked_for_where_the_output_has_no_bound() {
    let queue = queue_of(["a"]);
    let codec = codec_fn(
        |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            let content = Content {
                ascii_bytes: 4_000,
                ..Content::default()
            };
            Ok(Invocation::new(target(), prompt).with_demand(Demand::from(content)))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    let headroom = Told::default();
    Worker::builder(queue.clone(), service(&Asked::default()), codec)
        .headroom(headroom.clone())
        .leave_tokens(10_000)
        .build()
        .unwrap()
        .run_until(queue.drained())
        .await;
    // Without the sizes, which an estimator would go by instead.
    assert_eq!(headroom.demand(), Some(Demand::new(11_000)));
}

/// Has no room for one model, ever, and no lack of it for another.
struct NoneFor(&'static str);

impl Headroom for NoneFor {
    fn time_to_serve(&self, target: &Target, _: &Demand, _: &Context) -> Duration {
        if target.model().as_str() == self.0 {
            SECOND * 3_600
        } else {
            Duration::ZERO
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_without_room_does_not_hold_up_another() {
    // A message is for the model that its body names.
    let queue = queue_of(["amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"]);
    let codec = codec_fn(
        |message: &Message| {
            let model = String::from_utf8(message.body().to_vec())?;
            let target = Target::parse("us-east-1", &model)?;
            Ok(Invocation::new(target, model))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    let asked = Asked::default();
    let worker = Worker::builder(queue.clone(), service(&asked), codec)
        .headroom(NoneFor("amazon.nova-pro-v1:0"))
        .concurrency(1)
        .build()
        .unwrap();
    worker.run_until(sleep(SECOND * 60)).await;
    assert_eq!(asked.times("amazon.nova-lite-v1:0"), 1);
    assert_eq!((asked.len(), queue.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_its_own_calls_and_not_the_next_ones() {
    let queue = queue_of((0..3).map(|number| number.to_string()));
    let codec = codec_fn(
        |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            let context = Context::new().with_deadline(Instant::now() + SECOND * 2);
            Ok(Invocation::new(target(), prompt).with_context(context))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    /// As a quota answers a call that has no time left.
    struct Timely;
    impl Headroom for Timely {
        fn time_to_serve(&self, _: &Target, _: &Demand, context: &Context) -> Duration {
            match context.time_left(Instant::now()) {
                Some(Duration::ZERO) => Duration::MAX,
                _ => Duration::ZERO,
            }
        }
    }
    let asked = Asked::default();
    let started = Instant::now();
    let worker = Worker::builder(queue.clone(), service(&asked), codec)
        .headroom(Timely)
        .build()
        .unwrap();
    let late = async {
        sleep(SECOND * 10).await;
        queue.send(Message::new("late", "late"));
        queue.drained().await;
    };
    assert_eq!(worker.run_until(late).await.answered, 4);
    assert!(started.elapsed() < SECOND * 12);
}
