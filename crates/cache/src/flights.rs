//! Which calls are under way, so that identical ones can share an answer.

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Key;

/// Clones share it. As many entries as there are different calls under way.
pub(crate) struct Flights<V> {
    leaders: Arc<Mutex<HashMap<Key, watch::Receiver<Flight<V>>>>>,
}

/// How a call under way has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight<V> {
    /// Not yet. Where nobody is left to say, its caller has gone away.
    Underway,
    /// With an answer to share, or without one.
    Landed(Option<V>),
}

/// A call's part among identical ones.
pub(crate) enum Part<V> {
    /// The one that asks.
    Lead(Lead<V>),
    /// One that waits for it.
    Follow(watch::Receiver<Flight<V>>),
}

/// The call that asks. Dropped without a word, another may lead.
pub(crate) struct Lead<V> {
    flights: Flights<V>,
    key: Key,
    flight: watch::Sender<Flight<V>>,
}

impl<V> Flights<V> {
    pub(crate) fn new() -> Self {
        Self {
            leaders: Arc::default(),
        }
    }

    pub(crate) fn join(&self, key: Key) -> Part<V> {
        let mut leaders = self.leaders.lock();
        if let Some(flight) = leaders.get(&key) {
            return Part::Follow(flight.clone());
        }
        let (flight, followers) = watch::channel(Flight::Underway);
        leaders.insert(key, followers);
        Part::Lead(Lead {
            flights: Self {
                leaders: Arc::clone(&self.leaders),
            },
            key,
            flight,
        })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.leaders.lock().len()
    }
}

impl<V> Lead<V> {
    /// The call has ended, with an answer to share or without one.
    pub(crate) fn land(self, answer: Option<V>) {
        self.flight.send_replace(Flight::Landed(answer));
    }
}

impl<V> Drop for Lead<V> {
    fn drop(&mut self) {
        // Before the followers wake, which happens when the sender is dropped after this: one of them is to lead.
        self.flights.leaders.lock().remove(&self.key);
    }
}

impl<V> fmt::Debug for Flights<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("underway", &self.leaders.lock().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::{Invocation, Target};

    use super::*;

    fn key() -> Key {
        let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
        Key::of(&Invocation::new(target, ()), "Converse", b"hello")
    }

    fn lead_and_follower(flights: &Flights<u8>) -> (Lead<u8>, watch::Receiver<Flight<u8>>) {
        match (flights.join(key()), flights.join(key())) {
            (Part::Lead(lead), Part::Follow(follower)) => (lead, follower),
            _ => panic!("the first leads and the second follows"),
        }
    }

    #[tokio::test]
    async fn a_leader_that_goes_away_leaves_its_place_to_a_follower() {
        let flights = Flights::new();
        let (lead, mut follower) = lead_and_follower(&flights);
        drop(lead);
        assert!(follower.changed().await.is_err());
        assert!(matches!(flights.join(key()), Part::Lead(_)));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn followers_get_what_it_has_brought() {
        let flights = Flights::new();
        let (lead, mut follower) = lead_and_follower(&flights);
        lead.land(Some(7));
        assert!(follower.changed().await.is_ok());
        assert_eq!(*follower.borrow(), Flight::Landed(Some(7)));
        assert_eq!(flights.len(), 0);
    }
}
