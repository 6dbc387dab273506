//! Bodies whose parts are read within their request's span.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tracing::Span;

pin_project! {
    /// A body that is still being made while it is sent: what is logged meanwhile is of its request.
    #[derive(Debug)]
    pub(crate) struct InSpan<B> {
        #[pin]
        body: B,
        span: Span,
    }
}

impl<B> InSpan<B> {
    pub(crate) const fn new(body: B, span: Span) -> Self {
        Self { body, span }
    }
}

impl<B: Body> Body for InSpan<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let _entered = this.span.enter();
        this.body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
