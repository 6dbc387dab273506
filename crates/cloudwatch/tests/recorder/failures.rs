//! Nothing is lost while CloudWatch fails, memory is bounded, and what is lost is counted.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::oneshot, time::sleep};

use crate::{
    builder, count,
    fake::{Answer, Fake},
    sample,
};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_worker_sends_once_a_minute_and_once_more_when_told_to_stop() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = recorder.worker(fake.clone());
    let worker = tokio::spawn(worker.run_until(async { drop(stopped.await) }));
    count(&recorder, "Calls", &[], 1);
    sleep(MINUTE - Duration::from_secs(1)).await;
    assert_eq!(fake.sum("Calls{}"), 0.0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.sum("Calls{}"), 1.0);
    count(&recorder, "Calls", &[], 2);
    stop.send(()).unwrap();
    let stats = worker.await.unwrap();
    assert_eq!(fake.sum("Calls{}"), 3.0);
    assert_eq!(
        (stats.requests, stats.data_sent, stats.data_lost),
        (2, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_three_hours_loses_nothing_and_keeps_the_last_minutes_apart() {
    let (recorder, fake) = (builder().max_periods(5).build().unwrap(), Fake::default());
    let (stop, stopped) = oneshot::channel::<()>();
    fake.with(|state| state.script = vec![Answer::Throttle; 100_000]);
    let worker = recorder.worker(fake.clone()).with_seed(1);
    let worker = tokio::spawn(worker.run_until(async { drop(stopped.await) }));
    for minute in 0..180u32 {
        count(&recorder, "Calls", &[], 1);
        sample(&recorder, "Latency", &[], f64::from(minute % 7));
        sleep(MINUTE).await;
    }
    let asked = fake.with(|state| state.requests);
    // Once a minute at most after the first few, and each a little apart from the others.
    assert!(
        (150..=400).contains(&asked),
        "{asked} requests in three hours"
    );
    fake.throttle(0);
    sleep(2 * MINUTE).await;

    assert_eq!(fake.sum("Calls{}"), 180.0);
    assert_eq!(fake.count("Latency{}"), 180);
    let times = fake.with(|state| state.stored["Calls{}"].len());
    // One batch that was under way all the time, and what has been kept since.
    assert!((5..=7).contains(&times), "{times} periods");
    stop.send(()).unwrap();
    let stats = worker.await.unwrap();
    assert_eq!(stats.data_lost, 0);
    assert!(stats.failed_requests >= 150);
}

#[tokio::test(start_paused = true)]
async fn one_datum_that_is_refused_is_lost_alone() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    fake.with(|state| state.poison = Some("Poison"));
    for n in 0..999 {
        count(&recorder, "Calls", &[("N", &n.to_string())], 1);
    }
    count(&recorder, "Poison", &[], 1);
    let mut worker = recorder.worker(fake.clone());
    worker.flush().await.unwrap();
    let stats = recorder.stats();
    assert_eq!((stats.data_sent, stats.data_lost), (999, 1));
    assert!(stats.failed_requests <= 11, "{stats:?}");
    // And that is the end of it.
    let requests = fake.with(|state| state.requests);
    worker.flush().await.unwrap();
    assert_eq!(fake.with(|state| state.requests), requests);
}

#[tokio::test(start_paused = true)]
async fn a_cloudwatch_that_refuses_everything_is_not_asked_for_ever() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    fake.with(|state| state.poison = Some("Poison"));
    for n in 0..4_000 {
        count(&recorder, "Poison", &[("N", &n.to_string())], 1);
    }
    recorder.worker(fake.clone()).flush().await.unwrap();
    assert_eq!(recorder.stats().data_lost, 4_000);
    let requests = fake.with(|state| state.requests);
    assert!(requests < 150, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_cloudwatch_that_hangs_does_not_hold_up_shutdown() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    fake.with(|state| state.script = vec![Answer::Hang; 1_000]);
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = recorder.worker(fake.clone());
    let worker = tokio::spawn(worker.run_until(async { drop(stopped.await) }));
    count(&recorder, "Calls", &[], 1);
    sleep(MINUTE + Duration::from_secs(1)).await;
    count(&recorder, "Calls", &[], 1);
    count(&recorder, "More", &[], 1);
    let told = tokio::time::Instant::now();
    stop.send(()).unwrap();
    let stats = worker.await.unwrap();
    assert!(
        told.elapsed() <= Duration::from_millis(5_010),
        "{:?}",
        told.elapsed()
    );
    assert_eq!(stats.data_lost, 3);
}

#[tokio::test(start_paused = true)]
async fn a_cloudwatch_that_hangs_is_left_alone_between_tries() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    fake.with(|state| state.script = vec![Answer::Hang; 1_000]);
    let worker = recorder.worker(fake.clone()).with_seed(1);
    let worker = tokio::spawn(worker.run_until(std::future::pending()));
    count(&recorder, "Calls", &[], 1);
    // Four tries take 40 seconds, and the waits after them at least half of 1, 2, 4 and 8 seconds.
    sleep(MINUTE + Duration::from_secs(47)).await;
    assert_eq!(fake.with(|state| state.requests), 4);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(fake.with(|state| state.requests), 5);
    worker.abort();
}

#[tokio::test(start_paused = true)]
async fn data_too_old_to_be_accepted_is_lost_and_counted() {
    let (recorder, fake) = (builder().build().unwrap(), Fake::default());
    let mut worker = recorder.worker(fake.clone());
    fake.throttle(1);
    count(&recorder, "Calls", &[], 1);
    worker.flush().await.unwrap_err();
    sleep(Duration::from_secs(15 * 24 * 60 * 60)).await;
    count(&recorder, "Calls", &[], 1);
    worker.flush().await.unwrap();
    assert_eq!(fake.sum("Calls{}"), 1.0);
    assert_eq!(recorder.stats().data_lost, 1);
}

/// Throttles, time-outs and dropped flushes at random: in the end everything has arrived, once.
#[tokio::test(start_paused = true)]
async fn whatever_fails_everything_arrives_once() {
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let recorder = builder().max_periods(3).build().unwrap();
        let fake = Fake::default();
        let mut worker = recorder.worker(fake.clone()).with_seed(seed);
        let (mut calls, mut samples) = (0, 0);
        for _ in 0..200 {
            for _ in 0..rng.random_range(0..5) {
                let n = rng.random_range(0..1_500).to_string();
                count(&recorder, "Calls", &[("N", &n)], 1);
                calls += 1;
                sample(&recorder, "Latency", &[], rng.random_range(0.0..1e6));
                samples += 1;
            }
            let answer = match rng.random_range(0..4) {
                0 => Answer::Throttle,
                1 => Answer::Hang,
                _ => Answer::Take,
            };
            fake.with(|state| state.script = vec![answer]);
            let patience = Duration::from_secs(rng.random_range(1..20));
            let _ = tokio::time::timeout(patience, worker.flush()).await;
        }
        fake.with(|state| state.script.clear());
        worker.flush().await.unwrap();
        let stored: Vec<_> = fake.with(|state| state.stored.keys().cloned().collect());
        let of_calls = stored.iter().filter(|series| series.starts_with("Calls"));
        assert_eq!(
            of_calls.map(|series| fake.sum(series)).sum::<f64>(),
            f64::from(calls)
        );
        assert_eq!(fake.count("Latency{}"), samples);
        assert_eq!(recorder.stats().data_lost, 0);
    }
}
