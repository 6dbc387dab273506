//! A policy of one's own, as a Tower layer, and how to test it: `tower-test` plays Bedrock, in paused time.
//!
//! The policy: no answer longer than so many tokens, whatever a caller asks for. An unset bound is the most
//! expensive of all, because Bedrock reserves the model's own maximum of the quota for it.
//!
//! ```console
//! $ cargo run -p examples --bin own_policy
//! $ cargo test -p examples --bin own_policy
//! ```

use std::task::{Context, Poll};

use bedrock_sim::{Input, Prompt, Simulator};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bedrock::{BoxError, HasDemand, Target};

/// Bounds every call's output.
#[derive(Clone, Copy, Debug)]
struct OutputBoundLayer {
    max_output_tokens: u64,
}

impl<S> Layer<S> for OutputBoundLayer {
    type Service = OutputBound<S>;

    fn layer(&self, inner: S) -> OutputBound<S> {
        OutputBound {
            inner,
            max_output_tokens: self.max_output_tokens,
        }
    }
}

#[derive(Clone, Debug)]
struct OutputBound<S> {
    inner: S,
    max_output_tokens: u64,
}

impl<S, Request> Service<Request> for OutputBound<S>
where
    S: Service<Request>,
    Request: HasDemand,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let asked = request.demand().max_output_tokens();
        if asked.is_none_or(|asked| asked > self.max_output_tokens) {
            request.set_max_output_tokens(self.max_output_tokens);
        }
        self.inner.call(request)
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let simulator = Simulator::default();
    let bedrock = ServiceBuilder::new()
        .layer(OutputBoundLayer {
            max_output_tokens: 500,
        })
        .service(simulator.service());

    // It would be 2,000 tokens long, and nobody has set a bound.
    let prompt = Prompt::new(Input::of_tokens(20)).with_output_tokens(2_000);
    let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0")?;
    let answer = bedrock.oneshot(prompt.to(target)).await?;
    println!(
        "{} tokens of answer, {} reserved of the quota",
        answer.output().tokens(),
        simulator.ledger().entries[0].reserved,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use tower_bedrock::{Answer, Demand, Fault, FaultKind, HasFault, Invocation};
    use tower_test::mock;

    use super::*;

    type Call = Invocation<&'static str>;
    type Reply = Answer<&'static str>;

    fn call(demand: Demand) -> Call {
        let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap();
        Invocation::new(target, "Say hello.").with_demand(demand)
    }

    /// The bound with which a call arrives that went out with this one.
    async fn arrives(bound: Option<u64>) -> Option<u64> {
        let layer = OutputBoundLayer {
            max_output_tokens: 500,
        };
        let (mut service, mut bedrock) = mock::spawn_layer::<Call, Reply, _>(layer);
        assert!(service.poll_ready().is_ready());
        let demand = bound.map_or(Demand::new(10), |bound| {
            Demand::new(10).with_max_output_tokens(bound)
        });
        let response = service.call(call(demand));
        let (arrived, reply) = bedrock.next_request().await.unwrap();
        reply.send_response(Answer::new("Hello."));
        response.await.unwrap();
        arrived.demand().max_output_tokens()
    }

    #[tokio::test]
    async fn a_bound_that_is_unset_or_too_high_is_brought_down() {
        assert_eq!(arrives(None).await, Some(500));
        assert_eq!(arrives(Some(10_000)).await, Some(500));
        assert_eq!(arrives(Some(20)).await, Some(20));
    }

    #[tokio::test]
    async fn what_goes_wrong_is_passed_on() {
        let layer = OutputBoundLayer {
            max_output_tokens: 500,
        };
        let (mut service, mut bedrock) = mock::spawn_layer::<Call, Reply, _>(layer);
        assert!(service.poll_ready().is_ready());
        let response = service.call(call(Demand::new(10)));
        let (_, reply) = bedrock.next_request().await.unwrap();
        reply.send_error(Fault::new(FaultKind::ModelOverloaded));
        let error = response.await.unwrap_err();
        assert_eq!(error.fault().kind(), FaultKind::ModelOverloaded);
    }
}
