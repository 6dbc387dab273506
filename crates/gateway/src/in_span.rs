//! Bodies whose parts are read within their request's span.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tracing::Span;

pin_project! {
    /// A body that is still being made while it is sent: what is logged meanwhile, and when it is dropped, is of its
    /// request.
    #[derive(Debug)]
    pub(crate) struct InSpan<B> {
        // `None` once it is dropped.
        #[pin]
        body: Option<B>,
        span: Span,
    }

    impl<B> PinnedDrop for InSpan<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.span.enter();
            this.body.set(None);
        }
    }
}

impl<B> InSpan<B> {
    pub(crate) const fn new(body: B, span: Span) -> Self {
        Self {
            body: Some(body),
            span,
        }
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
        match this.body.as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}
