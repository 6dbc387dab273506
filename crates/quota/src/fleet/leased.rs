use tokio::time::Duration;

use super::{
    attention::Attention,
    look::{Look, Shares as _},
    member::{Change, Member, Sent},
    renewal::Answer,
    settings::Settings,
};
use crate::{key::Key, time::Clock};

/// What the worker renews: a key's limits of a minute, or a Region's tokens a day.
pub(crate) trait Leased: Send + Sync {
    fn attention(&self) -> Option<&Attention>;

    fn clock(&self) -> Clock;

    /// What it is called in the store.
    fn name(&self) -> String;

    /// Looks at it: a renewal where that is due, and whether there is anything to share.
    fn renew(&self, member: &mut Member, settings: &Settings) -> (Option<Sent>, bool);

    fn answered(
        &self,
        member: &mut Member,
        sent: &Sent,
        answer: &Answer,
        settings: &Settings,
    ) -> Option<Change>;

    /// The store keeps count of as many members as it can, and of this one it does not: what it has would be beyond the
    /// limit.
    fn turned_away(&self);

    /// The renewal that says that it is given up.
    fn leave(&self, member: &mut Member, settings: &Settings) -> Option<Sent>;

    /// Tells whoever observes.
    fn tell(&self, change: Change);
}

impl Leased for Key {
    fn attention(&self) -> Option<&Attention> {
        self.attention()
    }

    fn clock(&self) -> Clock {
        self.clock()
    }

    fn name(&self) -> String {
        self.name().to_string()
    }

    fn renew(&self, member: &mut Member, settings: &Settings) -> (Option<Sent>, bool) {
        let turned = self.attention().map(Attention::answer).unwrap_or_default();
        let now = self.clock().now();
        let mut sent = None;
        let mut shared = false;
        self.adjust(now, |state| {
            let look = Look::at(state, turned);
            shared = look.shared;
            if member.is_away() && (look.new || !look.idle) {
                member.wake(state.budget_mut(), now, settings);
            }
            if member.is_due(&look, now) {
                sent = Some(member.renew(state.budget_mut(), &look, now, settings));
            }
        });
        (sent, shared)
    }

    fn answered(
        &self,
        member: &mut Member,
        sent: &Sent,
        answer: &Answer,
        settings: &Settings,
    ) -> Option<Change> {
        let now = self.clock().now();
        let mut change = None;
        self.adjust(now, |state| {
            change = member.answered(state.budget_mut(), sent, answer, now, settings);
        });
        change
    }

    fn turned_away(&self) {
        self.adjust(self.clock().now(), |state| {
            state.budget_mut().each_share(|_, _, share| share.resign());
        });
    }

    fn leave(&self, member: &mut Member, settings: &Settings) -> Option<Sent> {
        let now = self.clock().now();
        let mut sent = None;
        self.adjust(now, |state| {
            let look = Look::at(state, Default::default());
            sent = Some(member.leave(state.budget_mut(), &look, now, settings));
        });
        sent
    }

    fn tell(&self, change: Change) {
        self.tell(|observe, name| match change {
            Change::Found => observe.store_found(name),
            Change::Lost => observe.store_lost(name),
            Change::Back(nanos) => observe.store_back(name, Duration::from_nanos(nanos)),
        });
    }
}
