use std::{
    fmt,
    sync::{Arc, Weak},
    task::Waker,
};

use crate::{
    Limit, Limits, Observe, QuotaKey, Reason,
    budget::{Ending, Grant, Refusal},
    config::Config,
    day::{Day, DayState},
    model::Model,
    state::{Answer, Ask, Next, State, Waited, Wakers},
    sync::Mutex,
    time::{Clock, Time},
};

/// The state of one quota key, shared by everybody who uses it.
///
/// Locks are held for a few steps of arithmetic. Whoever is to be woken is woken after they are released.
pub(crate) struct Key {
    name: QuotaKey,
    config: Arc<Config>,
    model: Arc<Model>,
    day: Arc<Day>,
    state: Mutex<State>,
    me: Weak<Self>,
    #[cfg(feature = "redis")]
    attention: std::sync::OnceLock<crate::fleet::Attention>,
}

/// Where a call stands.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It goes at once, past nobody.
    Granted(Grant),
    /// The queue has let it through, be it as it joined: it is on hold until it is sent.
    Served(Grant),
    Refused(Refusal),
    /// It waits under this number, and is to poll again at the given moment where it keeps the timer.
    Waits(usize, Option<Time>),
}

impl Key {
    pub(crate) fn new(
        name: QuotaKey,
        config: &Arc<Config>,
        model: Arc<Model>,
        day: Arc<Day>,
        state: State,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            name,
            config: Arc::clone(config),
            model,
            day,
            state: Mutex::new(state),
            me: me.clone(),
            #[cfg(feature = "redis")]
            attention: std::sync::OnceLock::new(),
        })
    }

    pub(crate) const fn name(&self) -> &QuotaKey {
        &self.name
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn clock(&self) -> Clock {
        self.config.clock
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Tells whoever observes.
    pub(crate) fn tell(&self, tell: impl FnOnce(&dyn Observe, &QuotaKey)) {
        if let Some(observe) = &self.config.observe {
            tell(&**observe, &self.name);
        }
    }

    /// Whether nothing would be lost by forgetting it but what 429s have taught.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.look(|state, _| {
            state.budget_mut().at(now, None);
            state.queue().is_empty() && state.budget().is_idle()
        })
    }

    /// Lets a call through where there is room and nobody waits for it. Else it is to [`ask`](Self::ask).
    #[inline]
    pub(crate) fn grant(&self, tokens: u64, now: Time) -> Option<Grant> {
        let mut state = self.state.lock();
        let mut day = self.day.lock();
        state.grant(tokens, now, day.as_deref_mut())
    }

    /// A call asks to be let through.
    pub(crate) fn ask(&self, ask: &Ask<'_>, now: Time, waker: &Waker) -> Turn {
        self.step(
            |state, mut day, wakers| match state.ask(ask, now, day.as_deref_mut(), wakers) {
                Answer::Granted(grant) => Turn::Granted(grant),
                Answer::Refused(refusal) => {
                    self.missed(&refusal, day);
                    Turn::Refused(refusal)
                }
                Answer::Waits(id) => self.turn(state, id, now, day, waker, wakers),
            },
        )
    }

    /// A call that waits looks whether it is its turn.
    pub(crate) fn poll(&self, id: usize, now: Time, waker: &Waker) -> Turn {
        self.step(|state, day, wakers| self.turn(state, id, now, day, waker, wakers))
    }

    /// A call that waited is given up.
    pub(crate) fn cancel(&self, id: usize, waited: &Waited) {
        // Whoever drops a future may have no clock to read, and needs none.
        self.change(
            |state| state.budget().now(),
            |state, now, day| {
                if let Some(Ok(grant)) = state.queue_mut().cancel(id) {
                    state.end(&grant, Some(waited), Ending::Refunded, now, day);
                }
            },
        );
    }

    /// A call that was granted to be sent at once is not.
    pub(crate) fn put_on_hold(&self, grant: &mut Grant, now: Time) {
        self.step(|state, day, _| state.budget_mut().at(now, day).put_on_hold(grant));
    }

    /// A call that was granted is sent, at `now`.
    pub(crate) fn send(&self, grant: &mut Grant, now: Time) {
        self.step(|state, day, _| state.budget_mut().at(now, day).send(grant));
    }

    /// A call was throttled for tokens a day.
    pub(crate) fn day_throttled(&self, sent: Time, now: Time, retry_after: Option<u64>) {
        self.day.throttled(sent, now, retry_after);
    }

    /// A call that was granted has ended. `waited` says whose it was, where it waited; `clock` is read only
    /// where it matters when that was.
    #[inline]
    pub(crate) fn end(
        &self,
        grant: &Grant,
        waited: Option<&Waited>,
        ending: Ending,
        clock: Option<&Clock>,
    ) {
        let now = |state: &State| {
            let matters =
                !state.queue().is_empty() || state.budget().depends_on_when(grant, ending);
            match clock {
                Some(clock) if matters => clock.now(),
                _ => state.budget().now(),
            }
        };
        self.change(now, |state, now, day| {
            state.end(grant, waited, ending, now, day)
        });
        #[cfg(feature = "redis")]
        if let (Ending::Throttled(_), Some(attention)) = (ending, self.attention.get()) {
            attention.call();
        }
    }

    /// Changes the limits; what is in use stays so, and who waits is looked at anew.
    pub(crate) fn declare(&self, limits: &Limits, now: Time) {
        self.change(
            |_| now,
            |state, now, _| state.budget_mut().declare(limits, now),
        );
        #[cfg(feature = "redis")]
        if let Some(attention) = self.attention.get() {
            attention.call();
        }
    }

    /// Changes the limits in another way; who waits is looked at anew.
    #[cfg(feature = "redis")]
    pub(crate) fn adjust(&self, now: Time, adjust: impl FnOnce(&mut State)) {
        self.change(
            |_| now,
            |state, now, _| {
                state.budget_mut().at(now, None);
                adjust(state);
            },
        );
    }

    /// Why such a call would have to wait; `None` where it would not. Nothing is reserved; but whoever shares the limits
    /// out is told, as of a call that was turned away: who goes only once there is room is to be given some.
    pub(crate) fn wait(&self, ask: &Ask<'_>, share: f64, now: Time) -> Option<Refusal> {
        self.step(|state, mut day, _| {
            let refusal = state.wait(ask, share, now, day.as_deref_mut())?;
            self.missed(&refusal, day);
            Some(refusal)
        })
    }

    /// Looks at something.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State, Option<&mut DayState>) -> R) -> R {
        self.step(|state, day, _| look(state, day))
    }

    /// There may be room in the Region's day for the first of those who wait.
    pub(crate) fn told(&self, now: Time) {
        self.step(|state, mut day, wakers| {
            state.listed = false;
            if let Some(next) = state.pump(now, day.as_deref_mut(), wakers) {
                self.note(state, next, day, wakers);
            }
        });
    }

    /// Does something that may make room: for those who wait here, and for other keys that wait for the same
    /// day.
    #[inline]
    fn change(
        &self,
        now: impl FnOnce(&State) -> Time,
        change: impl FnOnce(&mut State, Time, Option<&mut DayState>),
    ) {
        let (now, waiting_for_day) = self.step(|state, mut day, wakers| {
            let now = now(state);
            change(state, now, day.as_deref_mut());
            if let Some(next) = state.pump(now, day.as_deref_mut(), wakers) {
                self.note(state, next, day.as_deref_mut(), wakers);
            }
            (now, day.map(DayState::take_blocked))
        });
        for (_, key) in waiting_for_day.into_iter().flatten() {
            if let Some(key) = key.upgrade() {
                key.told(now);
            }
        }
    }

    fn turn(
        &self,
        state: &mut State,
        id: usize,
        now: Time,
        mut day: Option<&mut DayState>,
        waker: &Waker,
        wakers: &mut Wakers,
    ) -> Turn {
        let next = state.pump(now, day.as_deref_mut(), wakers);
        if let Some(outcome) = state.queue_mut().take(id) {
            if let Some(next) = next {
                self.note(state, next, day, wakers);
            }
            return outcome.map_or_else(Turn::Refused, Turn::Served);
        }
        let Some(next) = next else {
            return Turn::Waits(id, None);
        };
        let now = state.budget().now();
        let keeps_timer = state.queue_mut().polled(id, waker, now, next.at);
        self.note(state, next, day, wakers);
        Turn::Waits(id, keeps_timer.then_some(next.at))
    }

    /// Whoever shares out what the call was turned away for want of is told.
    fn missed(&self, refusal: &Refusal, day: Option<&mut DayState>) {
        #[cfg(feature = "redis")]
        if let Some(attention) = self.attention.get() {
            attention.missed(refusal);
        }
        if let (Some(day), Limit::TokensPerDay) = (day, refusal.limit)
            && refusal.reason != Reason::TooLarge
        {
            day.missed(refusal.asked);
            self.day.call();
        }
    }

    /// Sees to it that somebody will be there when the next thing happens.
    fn note(&self, state: &mut State, next: Next, day: Option<&mut DayState>, wakers: &mut Wakers) {
        #[cfg(feature = "redis")]
        if let Some(attention) = self.attention.get() {
            attention.call();
        }
        wakers.extend(state.queue_mut().set_timer(next.at));
        if next.needs_day.is_some() {
            self.day.call();
        }
        if let (Some(day), Some(head)) = (day, next.needs_day)
            && !state.listed
        {
            state.listed = true;
            day.tell(self.me.clone(), head.tokens, head.since);
        }
    }

    #[inline]
    fn step<R>(&self, step: impl FnOnce(&mut State, Option<&mut DayState>, &mut Wakers) -> R) -> R {
        let mut wakers = Wakers::new();
        let result = {
            let mut state = self.state.lock();
            let mut day = self.day.lock();
            step(&mut state, day.as_deref_mut(), &mut wakers)
        };
        if !wakers.is_empty() {
            wakers.into_iter().for_each(Waker::wake);
        }
        result
    }
}

// === one of a fleet ===

#[cfg(feature = "redis")]
impl Key {
    /// Whoever renews the key's lease is to be told when it is short of something.
    pub(crate) fn attend(&self, attention: crate::fleet::Attention) {
        // Set once, by whoever made the key.
        let _ = self.attention.set(attention);
    }

    pub(crate) fn attention(&self) -> Option<&crate::fleet::Attention> {
        self.attention.get()
    }

    /// A fleet's limits slide, whatever shape is declared.
    pub(crate) fn shared_limits(&self, limits: Limits) -> Limits {
        match self.attention.get() {
            Some(_) => limits.with_window(crate::Window::Sliding),
            None => limits,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
