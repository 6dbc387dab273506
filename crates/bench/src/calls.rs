use std::{
    future::Future,
    hint::black_box,
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tower_service::Service;

/// Makes one call, and polls it until it is answered: at once, or the second time.
pub fn call<Request: Clone, S: Service<Request>>(service: &mut S, request: &Request) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut call = pin!(service.call(request.clone()));
    let polls = (0..2).take_while(|_| black_box(call.as_mut().poll(&mut cx)).is_pending());
    assert!(polls.count() < 2, "it is not answered");
}

/// Is ready when it is polled for the second time, as an answer that comes over a network is.
#[derive(Debug)]
pub struct Later<T> {
    answer: Option<T>,
    polled: bool,
}

impl<T> Later<T> {
    /// With this answer.
    pub const fn new(answer: T) -> Self {
        Self {
            answer: Some(answer),
            polled: false,
        }
    }
}

impl<T: Unpin> Future for Later<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        if mem::replace(&mut self.polled, true) {
            self.answer.take().map_or(Poll::Pending, Poll::Ready)
        } else {
            Poll::Pending
        }
    }
}
