//! The current trace, told to Bedrock in headers.

use std::sync::Arc;

use aws_sdk_bedrockruntime::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::BoxError,
};
use aws_smithy_runtime_api::http::Headers;
use opentelemetry::{
    Context,
    propagation::{Injector, TextMapPropagator},
};

/// What writes the headers.
pub(crate) type Propagator = Arc<dyn TextMapPropagator + Send + Sync>;

/// Writes them once a request is signed: unsigned, they break no signature where a proxy changes them on the way.
#[derive(Debug)]
pub(crate) struct TraceHeaders(pub(crate) Propagator);

impl Intercept for TraceHeaders {
    fn name(&self) -> &'static str {
        "TowerBedrockTraceHeaders"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        self.0
            .inject_context(&Context::current(), &mut Writer(headers));
        Ok(())
    }
}

struct Writer<'a>(&'a mut Headers);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        // W3C's `tracestate` is written even where it has nothing to say. And what is no header is no reason to fail.
        if !value.is_empty() {
            let _ = self.0.try_insert(key.to_owned(), value);
        }
    }
}
