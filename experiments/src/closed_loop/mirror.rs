//! A client that knows everything: it looks at the service's own level, knows what its call is before it is
//! sent, and lets everyone go in turn. Nobody can have it; nobody can do better in this order.

use std::{future::poll_fn, pin::pin, task::Poll};

use bedrock_sim::Simulator;
use std::sync::Arc;
use tokio::{
    sync::Mutex,
    time::{Duration, sleep},
};
use tower::{Service, service_fn, util::BoxCloneService};
use tower_bedrock::{FaultKind, HasFault, Priority, Target};

use crate::job::{Job, Subject};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);

pub(super) fn mirror(simulator: &Simulator, target: Target) -> Subject {
    let turn = Arc::new(Mutex::new(()));
    let simulator = simulator.clone();
    BoxCloneService::new(service_fn(move |job: Job| {
        let (simulator, target, turn) = (simulator.clone(), target.clone(), Arc::clone(&turn));
        async move {
            let turn = turn.lock().await;
            let needed = job.input().tokens(1.0) + job.max_output_tokens;
            while room(&simulator, &target) < needed {
                sleep(LOOK).await;
            }
            // It is admitted when it is first polled; only then is it the next one's turn.
            let mut call = pin!(simulator.service().call(job.to(&target, Priority::Normal)));
            let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            drop(turn);
            let answer = match first {
                Poll::Ready(answer) => answer,
                Poll::Pending => call.await,
            };
            match answer {
                Ok(_) => Ok(()),
                Err(error) => Err::<(), FaultKind>(error.fault().kind()),
            }
        }
    }))
}

fn room(simulator: &Simulator, target: &Target) -> u64 {
    let levels = simulator.levels(target.region(), target.model());
    let level = levels.and_then(|levels| levels.tokens_per_minute);
    level.map_or(u64::MAX, |level| level.limit.saturating_sub(level.used))
}
