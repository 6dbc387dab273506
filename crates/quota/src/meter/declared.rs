use super::{Reading, Rules, Share};
use crate::{
    learn::Learned,
    time::Time,
    window::{Tally, Window},
};

/// A limit that was declared, which 429s may have taught to be lower.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    period: u64,
    tally: Tally,
    declared: u64,
    /// What is kept to: `declared`, or what was learnt, or the share of a fleet, where that is less.
    limit: u64,
    /// Boxed, as the share is: most limits have neither, and what each call looks at stays close together.
    learned: Option<Box<Learned>>,
    /// Where the limit is a fleet's, this process's part of it. Then it is the fleet that learns.
    share: Option<Box<Share>>,
}

impl Declared {
    pub(crate) fn new(declared: u64, window: Window, rules: Rules) -> Self {
        Self {
            period: rules.period,
            tally: Tally::new(window, rules.period, rules.delay_variation),
            declared,
            limit: declared,
            learned: None,
            share: None,
        }
    }

    pub(crate) const fn window(&self) -> Window {
        self.tally.window()
    }

    pub(crate) fn declare(&mut self, declared: u64) {
        // What was learnt was learnt of a limit that is no more.
        if declared != self.declared {
            self.declared = declared;
            self.learned = None;
            self.keep_to_what_is_less();
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Time) {
        // By the limit that held until now; it may grow with this.
        self.tally.advance(now, self.limit);
        if let Some(learned) = &mut self.learned {
            if learned.believe(self.declared as f64, now) {
                self.learned = None;
            }
            self.keep_to_what_is_less();
        }
        if let Some(share) = &mut self.share {
            share.advance(now);
            self.keep_to_what_is_less();
        }
    }

    #[inline]
    pub(crate) const fn is_learning(&self) -> bool {
        self.learned.is_some()
    }

    #[inline]
    pub(crate) const fn fits(&self, amount: u64) -> bool {
        self.tally.fits(amount, self.limit) || self.fits_alone(amount)
    }

    /// What 429s have taught slows a large call down; it does not forbid what is declared.
    const fn fits_alone(&self, amount: u64) -> bool {
        let all_is_ours = match &self.share {
            Some(share) => share.is_whole(),
            None => true,
        };
        all_is_ours
            && amount > self.limit
            && amount <= self.declared
            && self.tally.fits(self.limit, self.limit)
    }

    pub(crate) const fn most(&self) -> u64 {
        self.declared
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn available(&self) -> u64 {
        self.limit.saturating_sub(self.tally.used(self.limit))
    }

    /// Whether more than half of the limit is in use. Of meaning only where there is something to grow back.
    #[inline]
    pub(crate) fn is_pressed(&self) -> bool {
        self.learned.is_some() && self.tally.used(self.limit) > self.limit / 2
    }

    #[inline]
    pub(crate) fn charge(&mut self, now: Time, amount: u64) -> u64 {
        self.tally.charge(now, amount, self.limit)
    }

    #[inline]
    pub(crate) fn give_back(&mut self, slot: u64, amount: u64) {
        self.tally.give_back(slot, amount);
    }

    pub(crate) const fn hold(&mut self, amount: u64) {
        self.tally.hold(amount);
    }

    pub(crate) const fn release(&mut self, amount: u64) {
        self.tally.release(amount);
    }

    pub(crate) fn owe(&mut self, now: Time, amount: u64) {
        self.tally.owe(now, amount, self.limit);
        if let Some(share) = &mut self.share {
            share.overshot(amount);
            self.keep_to_what_is_less();
        }
    }

    pub(crate) fn opens_at(&self, now: Time, amount: u64) -> Time {
        match &self.share {
            Some(share) if amount > self.limit && !share.is_whole() => share.changes_after(now),
            _ => self.ready_at(now, amount.min(self.limit), self.limit),
        }
    }

    pub(crate) fn forecast(&self, now: Time, amount: u64) -> Time {
        let limit = match &self.share {
            Some(share) => share.expected().min(self.declared),
            None => self.limit,
        };
        self.ready_at(now, amount, limit)
    }

    /// A share may be nothing at all; a limit is one at least.
    fn ready_at(&self, now: Time, amount: u64, limit: u64) -> Time {
        self.tally.ready_at(now, amount, limit.max(1))
    }

    pub(crate) fn throttled(&mut self, amount: u64, sent: Time, now: Time) {
        if let Some(share) = &mut self.share {
            share.throttled(sent);
            self.keep_to_what_is_less();
            return;
        }
        let level = match &self.learned {
            Some(learned) => learned.level(),
            None => self.declared as f64,
        };
        // The level may stand far above what is used, and then lowering it a little changes nothing.
        let from = (self.tally.used(self.declared) as f64).clamp(level / 2.0, level);
        match &mut self.learned {
            Some(learned) => learned.throttled(from, amount, sent, now),
            None => {
                let learned = Learned::first(from, true, amount, self.period, now);
                self.learned = Some(Box::new(learned));
            }
        }
        self.keep_to_what_is_less();
    }

    #[inline]
    pub(crate) fn succeeded(&mut self, pressed: bool, amount: u64, now: Time) {
        if let Some(share) = &mut self.share {
            share.succeeded();
        }
        if let Some(learned) = &mut self.learned {
            learned.succeeded(pressed, amount, now);
            self.keep_to_what_is_less();
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading {
            declared: Some(self.declared),
            effective: Some(self.limit),
            used: self.tally.used(self.limit),
            debt: self.tally.debt(self.limit),
        }
    }

    fn keep_to_what_is_less(&mut self) {
        self.limit = match &self.learned {
            Some(learned) => learned.whole_level().min(self.declared),
            None => self.declared,
        };
        if let Some(share) = &self.share {
            self.limit = self.limit.min(share.limit());
        }
    }

    /// From now on only a share of the limit is this process's. What it has learnt alone it forgets: that was
    /// of the whole.
    pub(crate) fn share_with(&mut self, share: Share) {
        self.learned = None;
        self.share = Some(Box::new(share));
        self.keep_to_what_is_less();
    }
}

#[cfg(feature = "redis")]
impl Declared {
    pub(crate) fn share(&self) -> Option<&Share> {
        self.share.as_deref()
    }

    pub(crate) const fn owed(&self) -> u64 {
        self.tally.owed()
    }

    pub(crate) fn change_share(&mut self, change: impl FnOnce(&mut Share)) {
        if let Some(share) = &mut self.share {
            change(share);
            self.keep_to_what_is_less();
        }
    }
}
