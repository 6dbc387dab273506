//! What an operator sees of an outage: the metrics that the layers send to CloudWatch meanwhile.

mod page;
mod sent;
mod watched;

use anyhow::{Context as _, Result};
use bedrock_sim::{FaultName, FaultSpec, WindowShape};
use metrics::set_default_local_recorder;
use tokio::time::{Duration, Instant, sleep_until};
use tower_bedrock::metrics::QuotaMetrics;
use tower_bedrock_cloudwatch::recorder::CloudWatchRecorder;

use self::sent::{Flush, Sent};
use crate::{
    Options, Report,
    job::{MEAN_COST, draw},
    load::{open_loop, poisson},
    run::{randomness, simulate},
    world,
};

const TOKENS_PER_MINUTE: u64 = 300_000;
/// How much of the asked-for model's quota is asked for.
const LOAD: f64 = 0.5;
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often metrics are sent.
const PERIOD: Duration = Duration::from_secs(15);

/// When the outage begins, when it ends, and when the run does, in seconds.
#[derive(Clone, Copy, Debug)]
struct Plan {
    from: u64,
    until: u64,
    end: u64,
}

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let (plan, flushes) = measure(options)?;
    Ok(page::of(&flushes, plan, options.seed))
}

fn measure(options: &Options) -> Result<(Plan, Vec<Flush>)> {
    let plan = options.size(
        Plan {
            from: 300,
            until: 600,
            end: 1_200,
        },
        Plan {
            from: 60,
            until: 120,
            end: 240,
        },
    );
    let flushes = simulate(options.seed, watch(options.seed, plan))?;
    Ok((plan, flushes))
}

/// What is sent, every fifteen seconds.
async fn watch(seed: u64, plan: Plan) -> Result<Vec<Flush>> {
    // The whole run is in this thread, and so is its recorder.
    let recorder = CloudWatchRecorder::builder().build()?;
    let _recorded = set_default_local_recorder(&recorder);
    let mut worker = recorder.worker(Sent::default());

    let simulator = world::account(seed, TOKENS_PER_MINUTE, WindowShape::Sliding)?;
    simulator.add_fault(FaultSpec {
        model: world::PRIMARY.into(),
        from_ms: Some(plan.from * 1_000),
        until_ms: Some(plan.until * 1_000),
        ..FaultSpec::new(FaultName::Unavailable)
    })?;
    let metrics = QuotaMetrics::new();
    let (subject, limiter) = watched::subject(&simulator, &metrics, seed)?;
    let mut rng = randomness(seed, 1);
    let per_minute = LOAD * TOKENS_PER_MINUTE as f64 / MEAN_COST;
    let end = Duration::from_secs(plan.end);
    let jobs = poisson(Duration::ZERO, end, per_minute, &mut rng)?;
    let jobs = jobs.into_iter().map(|at| (at, draw(&mut rng))).collect();

    let send = async {
        let start = Instant::now();
        let mut flushes = Vec::new();
        let mut at = PERIOD;
        while at <= end {
            sleep_until(start + at).await;
            metrics.look(&limiter);
            worker.flush().await.context("metrics are not sent")?;
            flushes.push(worker.get_mut().take(at));
            at += PERIOD;
        }
        anyhow::Ok(flushes)
    };
    let (samples, flushes) = tokio::join!(open_loop(&subject, jobs, PATIENCE), send);
    samples?;
    flushes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{FALLBACK, PRIMARY};

    #[test]
    fn an_outage_is_seen_in_what_is_sent() {
        let (plan, flushes) = measure(&Options::QUICK).unwrap();
        let (_, again) = measure(&Options::QUICK).unwrap();
        let page = |flushes: &[_]| page::of(flushes, plan, 1).markdown();
        assert_eq!(page(&flushes), page(&again));

        let sum = |metric, model| -> f64 {
            let during = flushes.iter().filter(|flush| plan.lasts(flush.at));
            during.map(|flush| flush.sum(metric, model)).sum()
        };
        let requests = sum("Requests", PRIMARY);
        assert!(requests > 20.0);
        // Degraded but functional: another model serves all but what was under way, and nobody is turned away.
        assert!(sum("FallbackModelInvocations", PRIMARY) > 0.8 * requests);
        assert!(sum("RequestErrors", PRIMARY) < 0.1 * requests);
        // The breaker takes the load off the model that fails.
        assert!(sum("InvocationServerErrors", PRIMARY) < 0.3 * requests);
        assert!(sum("Invocations", FALLBACK) > 0.8 * requests);
        let open = |flush: &&Flush| flush.gauge("CircuitBreakerState", PRIMARY) == Some(2.0);
        assert!(
            flushes
                .iter()
                .filter(open)
                .all(|flush| flush.at.as_secs() >= plan.from)
        );
        assert!(flushes.iter().any(|flush| open(&flush)));
    }
}
