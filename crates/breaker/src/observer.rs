use tokio::sync::broadcast;

use crate::Event;

/// Is told when a breaker changes its state, or would have.
///
/// A function is one, and so is the sender of a [`broadcast`] channel, which makes a bounded stream of
/// events with as many readers as are wanted:
///
/// ```
/// use tokio::sync::broadcast;
/// use tower_bedrock_breaker::CircuitBreakerLayer;
///
/// let (events, mut reader) = broadcast::channel(64);
/// let layer = CircuitBreakerLayer::builder().observer(events).build()?;
/// # let _ = (layer, reader.try_recv());
/// # Ok::<(), tower_bedrock_breaker::InvalidConfig>(())
/// ```
///
/// # Contract
///
/// Called in the task whose call, dropped stream or command made the change, with no lock held: it may ask
/// the handle, and may command it. It must be quick and must not panic. Because no lock is held, two events
/// of one key can arrive out of order; [`Event::generation`] tells.
pub trait Observer<Q>: Send + Sync {
    /// Something happened to a breaker.
    fn on_event(&self, event: &Event<Q>);
}

/// Looks away.
impl<Q> Observer<Q> for () {
    fn on_event(&self, _: &Event<Q>) {}
}

impl<Q, F> Observer<Q> for F
where
    F: Fn(&Event<Q>) + Send + Sync,
{
    fn on_event(&self, event: &Event<Q>) {
        self(event);
    }
}

/// Never waits: a reader that falls behind by more than the channel holds is told how many it missed.
impl<Q: Clone + Send + Sync> Observer<Q> for broadcast::Sender<Event<Q>> {
    fn on_event(&self, event: &Event<Q>) {
        // An error says that nobody reads at the moment.
        let _ = self.send(event.clone());
    }
}
