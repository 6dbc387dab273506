//! Converse and `ConverseStream`.

use aws_sdk_bedrockruntime::{
    Client,
    operation::{
        converse::{Converse, ConverseInput, ConverseOutput},
        converse_stream::{ConverseStream, ConverseStreamInput},
    },
    types::ConverseStreamOutput,
};
use aws_types::request_id::RequestId;
use tower_bedrock_core::{Answer, Demand, Target};

use super::{BedrockInput, CallOptions, envelope, sealed::Operation};
use crate::{ConverseEvents, Error, EventStream, KeptEvents, call, measure, usage};

/// The two inputs have the same fields, and no type in common.
macro_rules! converse_input {
    ($input:ty) => {
        impl BedrockInput for $input {
            fn model_id(&self) -> Option<&str> {
                self.model_id()
            }

            fn demand(&self) -> Demand {
                let content =
                    measure::of_conversation(self.messages(), self.system(), self.tool_config());
                let demand = Demand::from(content);
                let max = self
                    .inference_config()
                    .and_then(|config| config.max_tokens());
                match max.and_then(|max| u64::try_from(max).ok()) {
                    Some(max) => demand.with_max_output_tokens(max),
                    None => demand,
                }
            }
        }
    };
}

converse_input!(ConverseInput);
converse_input!(ConverseStreamInput);

impl Operation for ConverseInput {
    type Response = Answer<ConverseOutput>;

    type Sdk = Converse;

    const OPERATION: tower_bedrock_core::Operation = tower_bedrock_core::Operation::Converse;

    fn bytes(kept: &ConverseOutput) -> usize {
        measure::bytes_of_answer(kept).unwrap_or(usize::MAX)
    }

    fn write_envelope(&mut self, target: &Target, demand: &Demand) {
        envelope::set_model_id(&mut self.model_id, target);
        envelope::set_max_tokens(&mut self.inference_config, demand);
        envelope::set_tier(&mut self.service_tier, target);
    }

    async fn send(self, client: Client, _: CallOptions) -> Result<Self::Response, Error> {
        let (output, _) = call::scope(self, client.converse().send()).await;
        let output = output.map_err(Error::from_call)?;
        let usage = output.usage().and_then(usage::from_converse);
        Ok(Answer::new(output).with_usage(usage))
    }
}

impl Operation for ConverseStreamInput {
    type Response = ConverseEvents;

    type Sdk = ConverseStream;

    const OPERATION: tower_bedrock_core::Operation = tower_bedrock_core::Operation::ConverseStream;

    fn bytes(kept: &KeptEvents<ConverseStreamOutput>) -> usize {
        kept.bytes()
    }

    fn write_envelope(&mut self, target: &Target, demand: &Demand) {
        envelope::set_model_id(&mut self.model_id, target);
        envelope::set_max_tokens(&mut self.inference_config, demand);
        envelope::set_tier(&mut self.service_tier, target);
    }

    async fn send(self, client: Client, options: CallOptions) -> Result<Self::Response, Error> {
        let (output, _) = call::scope(self, client.converse_stream().send()).await;
        let output = output.map_err(Error::from_call)?;
        let request_id = output.request_id().map(str::to_owned);
        EventStream::open(output.stream, request_id, options).await
    }
}
