//! What a call sends, as whoever keeps answers tells calls apart by.

use std::fmt;

use aws_smithy_runtime_api::client::{
    interceptors::context::Input,
    runtime_plugin::RuntimePlugin,
    ser_de::{SerializeRequest, SharedRequestSerializer},
};
use aws_smithy_types::config_bag::ConfigBag;
use tower_bedrock_core::{HasDemand, HasTarget, Invocation, Operation};

use super::BedrockInput;

/// What a call sends to Bedrock: its body, and the headers that Bedrock answers by.
///
/// ```
/// # use aws_sdk_bedrockruntime::{
/// #     operation::converse::ConverseInput,
/// #     types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
/// # };
/// # use tower_bedrock_core::HasDemand;
/// use tower_bedrock_service::{BedrockInput, Sent};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let message = Message::builder()
/// #     .role(ConversationRole::User)
/// #     .content(ContentBlock::Text("Say hello.".to_owned()))
/// #     .build()?;
/// let input = ConverseInput::builder().model_id("amazon.nova-lite-v1:0").messages(message);
/// let call = input.build()?.into_invocation(&"us-east-1".parse()?)?;
/// let sent = Sent::of(&call).ok_or("it can be sent")?;
/// assert_eq!(sent.operation().as_str(), "Converse");
/// assert_eq!(sent.body(), br#"{"messages":[{"role":"user","content":[{"text":"Say hello."}]}]}"#);
/// # Ok(())
/// # }
/// ```
///
/// The SDK itself writes it, just as it does when the call is made: what a later SDK adds to its inputs is in it too.
/// Neither the Region nor the model are: they are the call's target. `Debug` shows its size, not its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    operation: Operation,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    /// What `call` sends, with all that its envelope decides; `None` where the SDK can't write it, as an input with a
    /// part that it does not know. Clones the input and reads all of it.
    #[must_use]
    pub fn of<I: BedrockInput + Clone>(call: &Invocation<I>) -> Option<Self> {
        let mut input = call.input().clone();
        input.write_envelope(call.target(), &call.demand());
        let operation = I::Sdk::default().config()?;
        let serializer = operation.load::<SharedRequestSerializer>()?;
        let request = serializer
            .serialize_input(Input::erase(input), &mut ConfigBag::base())
            .ok()?;
        // Were there ever something after the path, it would have to be looked at as well.
        if request.uri().contains('?') {
            return None;
        }
        let headers = request.headers().iter_bytes();
        let mut headers: Vec<_> = headers
            .filter(|(name, _)| *name != "content-length")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort_unstable();
        Some(Self {
            operation: I::OPERATION,
            headers,
            body: request.body().bytes()?.to_owned(),
        })
    }

    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The headers, ordered by name: the body's type, and for `InvokeModel` what Bedrock is told beside the body.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body: JSON for Converse, whatever the model takes for `InvokeModel`.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("operation", &self.operation)
            .field("headers", &self.headers.len())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}
