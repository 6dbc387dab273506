//! The SDK's requests, handed to the simulator's engine, and the engine's answers as HTTP.

use std::fmt;

use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture},
        orchestrator::HttpRequest,
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bedrock_sim::{
    Call, ContentClass, Denied, Disruption, Input, Operation, ServiceError, Simulator, Step,
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::sleep_until;

use crate::job::Job;

/// An HTTP client with the simulator at its other end.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    simulator: Simulator,
}

/// A job's sizes, which stand in for its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    class: ContentClass,
    bytes: u64,
    output_tokens: u64,
}

impl Wire {
    pub(super) const fn new(simulator: Simulator) -> Self {
        Self { simulator }
    }

    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let call = self
            .read(&request)
            .ok_or_else(|| broken("a request that is not understood"))?;
        let admitted = match self.simulator.begin(&call) {
            Ok(admitted) => admitted,
            Err(Denied::Error(error)) => return refused(&error),
            Err(Denied::Html503 { .. }) => return response(503, "<html>503</html>".into()),
            Err(Denied::Reset) => return Err(broken("connection reset")),
        };
        match admitted.plan().step(0) {
            Step::Disruption(Disruption::Hang) => std::future::pending().await,
            Step::Disruption(Disruption::Exception(error)) => {
                let answer = refused(error);
                admitted.fail();
                answer
            }
            Step::Disruption(_) => {
                admitted.fail();
                Err(broken("connection cut"))
            }
            Step::Delta(_) | Step::End => {
                sleep_until(admitted.instant(admitted.plan().duration())).await;
                let usage = admitted.plan().usage();
                admitted.complete();
                let body = json!({
                    "output": {"message": {"role": "assistant", "content": [{"text": "Simulated."}]}},
                    "stopReason": "end_turn",
                    "usage": {
                        "inputTokens": usage.input,
                        "outputTokens": usage.output,
                        "totalTokens": usage.total(),
                    },
                    "metrics": {"latencyMs": 1},
                });
                response(200, body.to_string())
            }
        }
    }

    fn read(&self, request: &HttpRequest) -> Option<Call> {
        let path = request.uri().split_once("/model/")?.1;
        let model = percent_decode_str(path.strip_suffix("/converse")?)
            .decode_utf8()
            .ok()?;
        let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        let sizes = Sizes::read(body.pointer("/messages/0/content/0/text")?.as_str()?)?;
        let region = self.simulator.default_region().clone();
        let input = Input::of_bytes(sizes.class, sizes.bytes);
        Some(
            Call::new(Operation::Converse, region, model.parse().ok()?, input)
                .with_max_tokens(body.pointer("/inferenceConfig/maxTokens")?.as_u64()?)
                .with_output_tokens(sizes.output_tokens),
        )
    }
}

fn refused(error: &ServiceError) -> Result<HttpResponse, ConnectorError> {
    let mut response = response(
        error.status(),
        json!({"message": error.message()}).to_string(),
    )?;
    response
        .headers_mut()
        .insert("x-amzn-errortype", error.exception().name());
    Ok(response)
}

fn response(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::io(error.into()))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}

fn broken(what: &'static str) -> ConnectorError {
    ConnectorError::io(what.into())
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().answer(request))
    }
}

impl Sizes {
    const CLASSES: [ContentClass; 3] =
        [ContentClass::Prose, ContentClass::Code, ContentClass::Json];

    pub(super) const fn of(job: &Job) -> Self {
        Self {
            class: job.class,
            bytes: job.bytes,
            output_tokens: job.output_tokens,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            class: *Self::CLASSES.get(usize::try_from(next()?).ok()?)?,
            bytes: next()?,
            output_tokens: next()?,
        })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = Self::CLASSES.iter().position(|class| *class == self.class);
        write!(
            f,
            "{} {} {}",
            class.unwrap_or(0),
            self.bytes,
            self.output_tokens
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job::draw, run::randomness};

    #[test]
    fn sizes_survive_the_wire() {
        let mut rng = randomness(3, 0);
        for _ in 0..20 {
            let sizes = Sizes::of(&draw(&mut rng));
            assert_eq!(Sizes::read(&sizes.to_string()), Some(sizes));
        }
        assert_eq!(Sizes::read("Hello."), None);
    }
}
