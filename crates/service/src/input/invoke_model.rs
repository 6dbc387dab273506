//! `InvokeModel` and `InvokeModelWithResponseStream`.
//!
//! The bound on the output stays as the body says, whatever the envelope does: its name and place are the
//! model's own, and the body is sent as it was given.

use aws_sdk_bedrockruntime::{
    Client,
    operation::{
        invoke_model::{InvokeModel, InvokeModelInput, InvokeModelOutput},
        invoke_model_with_response_stream::{
            InvokeModelWithResponseStream, InvokeModelWithResponseStreamInput,
        },
    },
    types::ResponseStream,
};
use aws_types::request_id::RequestId;
use tower_bedrock_core::{Answer, Demand, Target};

use super::{BedrockInput, CallOptions, envelope, sealed::Operation};
use crate::{Error, EventStream, InvokeModelChunks, KeptEvents, call, measure};

/// The two inputs have the same fields, and no type in common.
macro_rules! invoke_model_input {
    ($input:ty) => {
        impl BedrockInput for $input {
            fn model_id(&self) -> Option<&str> {
                self.model_id()
            }

            fn demand(&self) -> Demand {
                self.body()
                    .map_or_else(Demand::default, |body| measure::of_body(body.as_ref()))
            }
        }
    };
}

invoke_model_input!(InvokeModelInput);
invoke_model_input!(InvokeModelWithResponseStreamInput);

impl Operation for InvokeModelInput {
    type Response = Answer<InvokeModelOutput>;

    type Sdk = InvokeModel;

    const OPERATION: tower_bedrock_core::Operation = tower_bedrock_core::Operation::InvokeModel;

    fn bytes(kept: &InvokeModelOutput) -> usize {
        size_of::<InvokeModelOutput>() + kept.body().as_ref().len()
    }

    fn write_envelope(&mut self, target: &Target, _: &Demand) {
        envelope::set_model_id(&mut self.model_id, target);
        envelope::set_header_tier(&mut self.service_tier, target);
    }

    async fn send(self, client: Client, _: CallOptions) -> Result<Self::Response, Error> {
        let (output, usage) = call::scope(self, client.invoke_model().send()).await;
        Ok(Answer::new(output.map_err(Error::from_call)?).with_usage(usage))
    }
}

impl Operation for InvokeModelWithResponseStreamInput {
    type Response = InvokeModelChunks;

    type Sdk = InvokeModelWithResponseStream;

    const OPERATION: tower_bedrock_core::Operation =
        tower_bedrock_core::Operation::InvokeModelWithResponseStream;

    fn bytes(kept: &KeptEvents<ResponseStream>) -> usize {
        kept.bytes()
    }

    fn write_envelope(&mut self, target: &Target, _: &Demand) {
        envelope::set_model_id(&mut self.model_id, target);
        envelope::set_header_tier(&mut self.service_tier, target);
    }

    async fn send(self, client: Client, options: CallOptions) -> Result<Self::Response, Error> {
        let send = client.invoke_model_with_response_stream().send();
        let (output, _) = call::scope(self, send).await;
        let output = output.map_err(Error::from_call)?;
        let request_id = output.request_id().map(str::to_owned);
        EventStream::open(output.body, request_id, options).await
    }
}
