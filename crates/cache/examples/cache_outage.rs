//! An outage answered from the cache: three questions are asked over and over, the model is down from the fourth
//! minute to the eighth, and nobody sees an error page who asks what was asked before.
//!
//! Simulated time: it takes a moment, not ten minutes.
//!
//! `cargo run -p tower-bedrock-cache --example cache_outage`

use tokio::time::{Duration, Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bedrock_cache::{CacheLayer, Key};
use tower_bedrock_core::{
    Answer, BoxError, Fault, FaultKind, HasCompletion, HasFault, Invocation, Target,
};

type Call = Invocation<String>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let started = Instant::now();
    let minute = move || started.elapsed().as_secs() / 60;

    let cache = CacheLayer::builder(
        |call: &Call| Some(Key::of(call, "Converse", call.input().as_bytes())),
        String::len,
    )
    .build()?;
    let mut bedrock = ServiceBuilder::new()
        .layer(cache)
        .service_fn(|call: Call| async move {
            if (4..8).contains(&minute()) {
                return Err(BoxError::from(Fault::new(FaultKind::Unavailable)));
            }
            Ok(Answer::new(format!("the answer to {}", call.input())))
        });

    println!("minute  question  answer");
    let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0")?;
    for asked in 0..10_u64 {
        // In the sixth minute somebody asks what nobody has asked before.
        let question = if asked == 6 { 99 } else { asked % 3 };
        let call = Invocation::new(target.clone(), format!("question {question}"));
        let answer = match bedrock.ready().await?.call(call).await {
            Ok(answer) => match answer.history().and_then(|history| history.degraded) {
                Some(degraded) => format!("degraded, {:?} old", degraded.age.unwrap_or_default()),
                None => "fresh".to_owned(),
            },
            Err(error) => format!("error: {}", error.fault()),
        };
        println!("{:>6}  {question:>8}  {answer}", minute());
        sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}
