//! Which calls are under way, so that identical ones can share an answer.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Key;

/// Clones share it. As many entries as there are different calls under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights {
    leaders: Arc<Mutex<HashMap<Key, watch::Receiver<Flight>>>>,
}

/// How a call under way has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    /// Not yet. Where nobody is left to say, its caller has gone away.
    Underway,
    /// With an answer that was kept, or with none.
    Landed,
}

/// A call's part among identical ones.
pub(crate) enum Part {
    /// The one that asks.
    Lead(Lead),
    /// One that waits for it.
    Follow(watch::Receiver<Flight>),
}

/// The call that asks. Dropped without a word, another may lead.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Flights,
    key: Key,
    flight: watch::Sender<Flight>,
}

impl Flights {
    pub(crate) fn join(&self, key: Key) -> Part {
        let mut leaders = self.leaders.lock();
        if let Some(flight) = leaders.get(&key) {
            return Part::Follow(flight.clone());
        }
        let (flight, followers) = watch::channel(Flight::Underway);
        leaders.insert(key, followers);
        Part::Lead(Lead {
            flights: self.clone(),
            key,
            flight,
        })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.leaders.lock().len()
    }
}

impl Lead {
    /// The call has ended, and what it brought is kept if it can be.
    pub(crate) fn land(self) {
        self.flight.send_replace(Flight::Landed);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before the followers wake, which happens when the sender is dropped after this: one of them is to lead.
        self.flights.leaders.lock().remove(&self.key);
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

    #[tokio::test]
    async fn a_leader_that_goes_away_leaves_its_place_to_a_follower() {
        let flights = Flights::default();
        let Part::Lead(lead) = flights.join(key()) else {
            panic!("the first leads");
        };
        let Part::Follow(mut follower) = flights.join(key()) else {
            panic!("the second follows");
        };
        drop(lead);
        assert!(follower.changed().await.is_err());
        assert!(matches!(flights.join(key()), Part::Lead(_)));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn followers_learn_that_it_has_ended() {
        let flights = Flights::default();
        let Part::Lead(lead) = flights.join(key()) else {
            panic!("the first leads");
        };
        let Part::Follow(mut follower) = flights.join(key()) else {
            panic!("the second follows");
        };
        lead.land();
        assert!(follower.changed().await.is_ok());
        assert_eq!(*follower.borrow(), Flight::Landed);
        assert_eq!(flights.len(), 0);
    }
}
