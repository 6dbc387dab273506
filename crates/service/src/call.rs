//! What one call hands to the SDK and gets back from it, besides what the SDK's own API carries.

use std::{cell::Cell, fmt};

use aws_sdk_bedrockruntime::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
        },
    },
    error::BoxError,
};
use aws_smithy_runtime_api::client::interceptors::context::Input;
use tower_bedrock_core::TokenUsage;

use crate::usage;

tokio::task_local! {
    static CALL: Call;
}

struct Call {
    input: Cell<Option<Input>>,
    usage: Cell<Option<TokenUsage>>,
}

/// Runs `send`, an operation whose own input is left empty, so that it sends `input`. Answers also with
/// the token usage that the response's headers told.
///
/// The SDK offers no way to send an input that was built before. Rebuilding one field by field would drop,
/// in silence, every field that a later SDK adds; so the whole input takes the place of the empty one
/// before it is serialized. And the SDK's outputs leave out the headers that say what a call cost.
///
/// Both ride in a task-local, as the hooks run in the task that polls the call.
pub(crate) async fn scope<I, F>(input: I, send: F) -> (F::Output, Option<TokenUsage>)
where
    I: fmt::Debug + Send + Sync + 'static,
    F: Future,
{
    let call = Call {
        input: Cell::new(Some(Input::erase(input))),
        usage: Cell::new(None),
    };
    CALL.scope(call, async {
        let output = send.await;
        (output, CALL.with(|call| call.usage.take()))
    })
    .await
}

/// The two hooks. A call made with the same SDK client outside of [`scope`] goes by untouched.
#[derive(Debug)]
pub(crate) struct CallInterceptor;

impl Intercept for CallInterceptor {
    fn name(&self) -> &'static str {
        "TowerBedrockCall"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(Some(input)) = CALL.try_with(|call| call.input.take()) {
            *context.input_mut() = input;
        }
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let _ = CALL.try_with(|call| {
            let headers = context.response().headers();
            call.usage
                .set(usage::from_headers(|name| headers.get(name)));
        });
        Ok(())
    }
}
