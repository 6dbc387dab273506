//! `CountTokens`.

use aws_sdk_bedrockruntime::{
    Client,
    operation::count_tokens::{CountTokens, CountTokensInput, CountTokensOutput},
};
use tower_bedrock_core::{Answer, Demand, Target};

use super::{BedrockInput, CallOptions, envelope, sealed::Operation};
use crate::{Error, call};

impl BedrockInput for CountTokensInput {
    fn model_id(&self) -> Option<&str> {
        self.model_id()
    }

    /// Nothing: counting is free, in money and in quota.
    fn demand(&self) -> Demand {
        Demand::new(0).with_max_output_tokens(0)
    }
}

impl Operation for CountTokensInput {
    type Response = Answer<CountTokensOutput>;

    type Sdk = CountTokens;

    const OPERATION: tower_bedrock_core::Operation = tower_bedrock_core::Operation::CountTokens;

    fn bytes(kept: &CountTokensOutput) -> usize {
        size_of_val(kept)
    }

    fn write_envelope(&mut self, target: &Target, _: &Demand) {
        envelope::set_model_id(&mut self.model_id, target);
    }

    async fn send(self, client: Client, _: CallOptions) -> Result<Self::Response, Error> {
        let (output, _) = call::scope(self, client.count_tokens().send()).await;
        output.map(Answer::new).map_err(Error::from_call)
    }
}
