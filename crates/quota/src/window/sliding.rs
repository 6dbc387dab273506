use crate::time::Time;

/// Slots in the ring. A power of two, so that a slot's place is a mask away.
const SLOTS: usize = 128;

/// What was used in the last `period`, whenever that is asked.
///
/// Uses that are less than a slot's width apart share a slot and leave the window together, with the last
/// of them; so the tally never forgets early, and forgets late by less than the width (1/126 of the
/// period: half a second of a minute). Uses further apart than that are exact. Memory is the same
/// whatever the rate.
///
/// - A use counts from the moment it is charged. What is given back leaves the slot it was charged to, and
///   nothing where that slot has left the window: the room was there already.
/// - An overshoot is charged when it becomes known. What the window has no room for is carried forward as
///   debt, charged as room appears, and nothing new fits until it is paid. So no window ever holds more
///   than the limit, and no `k` windows more than `k` limits, debts included.
#[derive(Clone, Debug)]
pub(crate) struct Sliding {
    period: u64,
    width: u64,
    slots: Box<[Slot; SLOTS]>,
    /// Sequence numbers of the oldest slot in the window and of the next to be opened.
    oldest: u64,
    next: u64,
    /// When the newest slot takes no more uses. By the time that it leaves the window this is over.
    closes: Time,
    /// When the oldest slot leaves the window: kept here, so that nothing of the ring is looked at before then. While
    /// no slot is in it, some moment in the past.
    leaves: Time,
    used: u64,
    debt: u64,
    /// When the last slot left the window, or the last overshoot came where that is later; of meaning only
    /// while no slot is in it.
    empty_since: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    last: Time,
    amount: u64,
}

impl Sliding {
    pub(crate) fn new(period: u64) -> Self {
        Self {
            period,
            // Slots in the window start a width apart or more, so at most 126 + 2 of them overlap it.
            width: period.div_ceil(SLOTS as u64 - 2).max(1),
            slots: Box::new([Slot::default(); SLOTS]),
            oldest: 0,
            next: 0,
            closes: Time::ZERO,
            leaves: Time::ZERO,
            used: 0,
            debt: 0,
            empty_since: Time::ZERO,
        }
    }

    #[inline]
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    #[inline]
    pub(crate) const fn debt(&self) -> u64 {
        self.debt
    }

    #[inline]
    pub(crate) const fn fits(&self, amount: u64, limit: u64) -> bool {
        // Room that was given back goes to the debt first.
        let owed = self.used.saturating_add(self.debt);
        owed.saturating_add(amount) <= limit
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Time, limit: u64) {
        // Most of the time there is nothing to do.
        if self.leaves <= now || self.debt > 0 {
            self.catch_up(now, limit);
        }
    }

    fn catch_up(&mut self, now: Time, limit: u64) {
        while self.oldest < self.next {
            let slot = self.slots[place(self.oldest)];
            self.leaves = slot.last.plus(self.period);
            if self.leaves > now {
                break;
            }
            self.used = self.used.saturating_sub(slot.amount);
            self.empty_since = self.leaves;
            self.oldest += 1;
        }
        if self.debt > 0 {
            self.pay(now, limit);
        }
    }

    /// Charges `amount` at `now` and answers the slot it went to.
    #[inline]
    pub(crate) fn charge(&mut self, now: Time, amount: u64) -> u64 {
        if self.closes <= now {
            self.open(now);
        }
        debug_assert!(self.oldest < self.next, "charged to a slot that has left");
        let newest = self.next - 1;
        let slot = &mut self.slots[place(newest)];
        slot.last = slot.last.max(now);
        slot.amount = slot.amount.saturating_add(amount);
        if newest == self.oldest {
            self.leaves = slot.last.plus(self.period);
        }
        self.used = self.used.saturating_add(amount);
        newest
    }

    /// Opens a slot. The ring cannot be full here unless time was turned back; then the newest slot takes it all.
    #[cold]
    fn open(&mut self, now: Time) {
        if self.next - self.oldest < SLOTS as u64 {
            self.slots[place(self.next)] = Slot {
                last: now,
                amount: 0,
            };
            self.next += 1;
            self.closes = now.plus(self.width);
        }
    }

    #[inline]
    pub(crate) fn give_back(&mut self, slot: u64, amount: u64) {
        if (self.oldest..self.next).contains(&slot) {
            let slot = &mut self.slots[place(slot)];
            let amount = amount.min(slot.amount);
            slot.amount -= amount;
            self.used -= amount;
        }
    }

    pub(crate) fn owe(&mut self, now: Time, amount: u64, limit: u64) {
        if self.oldest == self.next {
            // Where held calls take all the room it waits from now on, however long the window was empty.
            self.empty_since = now;
        }
        self.debt = self.debt.saturating_add(amount);
        self.pay_what_fits(now, limit);
    }

    /// When `amount` more could have been charged with `held` kept free, were nothing given back: a limit's
    /// worth each period once the debt is paid.
    pub(crate) fn ready_at(&self, now: Time, amount: u64, limit: u64, held: u64) -> Time {
        let amount = amount.saturating_add(self.debt);
        if amount == 0 {
            return now;
        }
        let rounds = (amount - 1) / limit;
        let rest = amount - rounds * limit;
        let in_use = self.used.saturating_add(held);
        let mut missing = in_use.saturating_add(rest).saturating_sub(limit);
        let mut at = now;
        for sequence in self.oldest..self.next {
            if missing == 0 {
                break;
            }
            let slot = &self.slots[place(sequence)];
            missing = missing.saturating_sub(slot.amount);
            at = at.max(slot.last.plus(self.period));
        }
        if missing > 0 {
            // What is held stays so until it is sent, at the earliest now.
            at = at.max(now.plus(self.period));
        }
        at.plus(rounds.saturating_mul(self.period))
    }

    fn pay(&mut self, now: Time, limit: u64) {
        if self.oldest < self.next {
            self.pay_what_fits(now, limit);
            return;
        }
        // There was debt left, so the window was full, or held, when it was last looked at. It has emptied
        // since, and filled with debt again at once, and so on every period until now.
        let rounds = now.since(self.empty_since) / self.period;
        self.debt = self.debt.saturating_sub(rounds.saturating_mul(limit));
        let at = self
            .empty_since
            .plus(rounds.saturating_mul(self.period))
            .min(now);
        self.pay_what_fits(at, limit);
    }

    fn pay_what_fits(&mut self, now: Time, limit: u64) {
        let payable = self.debt.min(limit.saturating_sub(self.used));
        if payable > 0 {
            self.charge(now, payable);
            self.debt -= payable;
        }
    }
}

const fn place(sequence: u64) -> usize {
    sequence as usize % SLOTS
}
