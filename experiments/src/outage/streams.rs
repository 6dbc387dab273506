//! Outages in which the fault strikes in the stream, where an answer has begun.

use anyhow::{Result, anyhow};
use bedrock_sim::{FaultAt, FaultName, FaultSpec, Prompt, ReplyStream, SimulatedError, Simulator};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_bedrock::{
    BoxError, FaultKind, HasFault, Priority, StandardStack,
    breaker::CircuitBreakerLayer,
    fallback::{Alternative, Chain, FallbackLayer},
    quota::QuotaLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};

use super::{
    Plan,
    measure::{Figures, Run},
    under_load, who,
};
use crate::{
    Options,
    job::{Job, Subject},
    run::{each, randomness, simulate},
    world::{self, FALLBACK, PRIMARY},
};

/// Before any content, and when some of it has been shown to somebody.
pub(super) const PLACES: [FaultAt; 2] = [FaultAt::FirstEvent, FaultAt::AfterDeltas(3)];

/// A call by itself, and one with the whole stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Alone,
    Ours,
}

/// A kind of fault, and what clients come to under it: alone and with ours at the first place, and at the second.
pub(super) type Row = (FaultName, Vec<Figures>);

/// What each client comes to under each kind of fault that strikes in streams.
pub(super) fn measure(options: &Options, plan: Plan) -> Result<Vec<Row>> {
    let all = || FaultName::ALL.into_iter().filter(|kind| strikes(*kind));
    let kinds: Vec<_> = options.size(all().collect(), vec![FaultName::Corrupt]);
    let seeds = options.seeds(options.size(5, 1));
    let mut cases = Vec::new();
    for kind in &kinds {
        for at in PLACES {
            for client in [Client::Alone, Client::Ours] {
                cases.extend(seeds.iter().map(|seed| (*kind, at, client, *seed)));
            }
        }
    }
    let runs = each(&cases, |(kind, at, client, seed)| {
        simulate(*seed, one(*kind, *at, *client, *seed, plan))
    })?;
    let figures: Vec<_> = runs.chunks(seeds.len()).map(Figures::of).collect();
    let rows = figures.chunks(2 * PLACES.len()).map(<[_]>::to_vec);
    Ok(kinds.into_iter().zip(rows).collect())
}

/// The others are faults of a whole answer.
fn strikes(kind: FaultName) -> bool {
    !matches!(kind, FaultName::Html503 | FaultName::Slow)
}

async fn one(kind: FaultName, at: FaultAt, client: Client, seed: u64, plan: Plan) -> Result<Run> {
    let fault = FaultSpec {
        at: Some(at),
        ..FaultSpec::new(kind)
    };
    under_load(fault, seed, plan, |simulator| match client {
        Client::Alone => alone(simulator),
        Client::Ours => ours(simulator, seed),
    })
    .await
}

fn alone(simulator: &Simulator) -> Result<Subject> {
    let target = world::target(PRIMARY)?;
    let bedrock = simulator.service();
    Ok(BoxCloneService::new(service_fn(move |job: Job| {
        let call = job.to(&target, Priority::Normal);
        let answer = bedrock.clone().oneshot(call.map(Prompt::streamed));
        async move { read(answer.await.map_err(kind_of)?).await }
    })))
}

/// As in the last column of the other tables.
fn ours(simulator: &Simulator, seed: u64) -> Result<Subject> {
    let target = world::target(PRIMARY)?;
    let breaker = who::tuned(CircuitBreakerLayer::builder().seed(seed)).build()?;
    let limiter = who::mirror().build()?;
    let chain = Chain::new(PRIMARY.parse()?).or(Alternative::model(FALLBACK.parse()?));
    let known = (limiter.clone(), breaker.handle());
    let fallback = FallbackLayer::new([chain])?.skip_without_headroom(known, who::SHORTLY);
    let retry = RetryLayer::builder(Policy::default()).rng(randomness(seed, 200));
    let stack = StandardStack::new()
        .map_err(|error: BoxError| anyhow!(error))?
        .with_fallback(fallback)
        .with_retry(retry.build())
        .with_breaker(breaker)
        .with_quota(QuotaLayer::new(limiter))
        .with_request_timeout(TimeoutLayer::deadline())
        .with_attempt_timeout(TimeoutLayer::attempt(who::ATTEMPT)?);
    let stack = BoxCloneService::new(stack.layer(simulator.service()));
    Ok(BoxCloneService::new(service_fn(move |job: Job| {
        let call = job.to(&target, Priority::Normal);
        let answer = stack.clone().oneshot(call.map(Prompt::streamed));
        async move { read(answer.await.map_err(kind_of)?).await }
    })))
}

/// To the end, which is its own only where the answer is whole.
async fn read(mut stream: ReplyStream) -> Result<(), FaultKind> {
    while let Some(delta) = stream.recv().await {
        delta.map_err(kind_of)?;
    }
    Ok(())
}

fn kind_of(error: SimulatedError) -> FaultKind {
    error.fault().kind()
}
