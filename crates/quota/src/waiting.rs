use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_bedrock_core::{Demand, clock};

use crate::{
    Exhausted, Reservation,
    key::{Key, Turn},
    start::exhausted,
    state::Waited,
    time::Time,
};

/// A call's place among those who wait. Dropped before its turn, it leaves the queue; dropped after, but
/// before it was told, it gives back what it was granted.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) key: Arc<Key>,
    pub(crate) id: usize,
    /// `None` once it has been told.
    pub(crate) waited: Option<Waited>,
    pub(crate) since: Time,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(waited) = &self.waited {
            self.key.cancel(self.id, waited);
        }
    }
}

pin_project! {
    /// A call that waits for its turn.
    ///
    /// One of those who wait for a key keeps the timer for all of them: the one that has `timer` set.
    #[derive(Debug)]
    pub(crate) struct Waiting {
        seat: Seat,
        demand: Demand,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Waiting {
    pub(crate) const fn new(seat: Seat, demand: Demand) -> Self {
        Self {
            seat,
            demand,
            timer: None,
        }
    }
}

impl Future for Waiting {
    type Output = Result<Reservation, Exhausted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let seat = this.seat;
        let times = seat.key.clock();
        loop {
            let now = times.now();
            match seat.key.poll(seat.id, now, cx.waker()) {
                Turn::Granted(grant) | Turn::Served(grant) => {
                    let waited = seat.waited.take();
                    this.timer.set(None);
                    let time = now.wait_from(seat.since);
                    let key = Arc::clone(&seat.key);
                    let demand = *this.demand;
                    let reservation = Reservation::admitted(key, grant, waited, demand, time);
                    return Poll::Ready(Ok(reservation));
                }
                Turn::Refused(refusal) => {
                    seat.waited = None;
                    this.timer.set(None);
                    let time = now.wait_from(seat.since);
                    return Poll::Ready(Err(exhausted(&seat.key, &refusal, time)));
                }
                Turn::Waits(_, None) => {
                    this.timer.set(None);
                    return Poll::Pending;
                }
                Turn::Waits(_, Some(until)) => {
                    ready!(poll_timer(this.timer.as_mut(), times.instant(until), cx));
                    // Or it would look again by the reading that it waited for the end of.
                    clock::read();
                }
            }
        }
    }
}

fn poll_timer(
    mut timer: Pin<&mut Option<Sleep>>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if let Some(sleep) = timer.as_mut().as_pin_mut() {
        if sleep.deadline() != until {
            sleep.reset(until);
        }
    } else {
        timer.set(Some(sleep_until(until)));
    }
    match timer.as_pin_mut() {
        Some(sleep) => sleep.poll(cx),
        None => Poll::Ready(()),
    }
}
