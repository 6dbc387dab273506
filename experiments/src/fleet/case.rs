//! What is compared.

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Fleet,
    Even,
    Alone,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Fleet, Self::Even, Self::Alone];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "ours: a fleet",
            Self::Even => "limit / N each",
            Self::Alone => "each learns by itself",
        }
    }
}

/// How the work is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// All have as much to do, and more than they may.
    Even,
    /// Half of them have next to nothing to do.
    Half,
}

/// What prompts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompts {
    /// A client learns how many tokens so many bytes are.
    Prose,
    /// Prose, code and JSON, which a client cannot tell apart: it reckons with the densest.
    Mixed,
}

/// What happens in minute 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Nothing,
    /// One process is killed, and takes its work along.
    Killed,
    /// One process's link to the store is cut for a minute.
    Cut,
    /// All links are cut for five minutes.
    Down,
    /// The store forgets everything.
    Flushed,
}

impl Event {
    pub(super) const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Killed,
        Self::Cut,
        Self::Down,
        Self::Flushed,
    ];
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) who: Who,
    pub(super) processes: usize,
    pub(super) spread: Spread,
    pub(super) event: Event,
    pub(super) prompts: Prompts,
    pub(super) served: bool,
    pub(super) seed: u64,
}

impl Case {
    pub(super) const fn name(&self) -> &'static str {
        match self.processes {
            1 => "one process, the whole limit",
            _ => self.who.name(),
        }
    }
}
