//! What fallback does while a model is down: `cargo run -p tower-bedrock-fallback --example fallback_outage`
//!
//! Runs in paused time, so the two minutes take no time at all.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Fault, FaultKind, HasCompletion, HasTarget, Invocation, Target,
};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const NOVA: &str = "us.amazon.nova-pro-v1:0";

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let chain = Chain::new(CLAUDE.parse()?)
        .or(Alternative::region("us-west-2".parse()?))
        .or(Alternative::model(NOVA.parse()?))
        .hop_timeout(Duration::from_secs(5));

    let canned = tower::service_fn(|_: Invocation<&'static str>| async {
        Ok::<_, BoxError>(Answer::new("The assistant is taking a break."))
    });

    let mut bedrock = ServiceBuilder::new()
        .layer(FallbackLayer::new([chain])?.or_degraded(canned))
        .service_fn(move |call: Invocation<&'static str>| async move {
            let minute = start.elapsed().as_secs() / 20;
            let (region, model) = (
                call.target().region().as_str(),
                call.target().model().as_str(),
            );
            match (minute, region, model) {
                (1..=3, "us-east-1", CLAUDE) => Err(Fault::new(FaultKind::ModelOverloaded).into()),
                (2 | 3, "us-west-2", CLAUDE) => std::future::pending().await,
                (3, _, NOVA) => Err(Fault::new(FaultKind::Unavailable).into()),
                _ => Ok::<_, BoxError>(Answer::new("Hello.")),
            }
        });

    for scene in [
        "all is well",
        "one Region overloaded",
        "the other hangs",
        "everything down",
        "recovered",
    ] {
        let asked = Instant::now();
        let target = Target::parse("us-east-1", CLAUDE)?;
        let answer = bedrock
            .ready()
            .await?
            .call(Invocation::new(target, "Say hello."))
            .await?;
        println!("{scene}: {:?} after {:?}", answer.output(), asked.elapsed());
        if let Some(history) = answer.history() {
            for hop in &history.failed_hops {
                println!("    {}: {}", hop.target, hop.fault);
            }
            match &history.served_by {
                Some(target) => println!("    {target}: served"),
                None => println!("    degraded answer"),
            }
        }
        sleep(Duration::from_secs(20).saturating_sub(asked.elapsed())).await;
    }
    Ok(())
}
