use std::fmt;

use tokio::time::Duration;

use crate::{Fault, History, TokenUsage};

/// How a call ended and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// How it ended.
    pub outcome: Outcome,
    /// The tokens it used, or `None` where the answer did not say (a stream that broke off before its
    /// last event).
    pub usage: Option<TokenUsage>,
    /// From sending the request to the first content of the answer; `None` for unary calls.
    pub time_to_first_token: Option<Duration>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived whole.
    Complete,
    /// A stream failed after its first content.
    Failed(Fault),
    /// A stream was dropped before its end, by whoever was reading it.
    Dropped,
}

/// A response that tells what it cost.
///
/// ```
/// use std::sync::mpsc;
/// use tower_bedrock_core::{Answer, HasCompletion, TokenUsage};
///
/// let usage = TokenUsage { input: 10, output: 750, ..TokenUsage::default() };
/// let mut answer = Answer::new("a long story").with_usage(usage);
///
/// let (sender, receiver) = mpsc::channel();
/// answer.on_completion(move |completion| sender.send(completion.usage).unwrap());
/// assert_eq!(receiver.recv().unwrap(), Some(usage));
/// ```
pub trait HasCompletion {
    /// Calls `observer` exactly once with the [`Completion`]: at once for a unary response; for a stream
    /// when it ends, fails or is dropped. It runs in the task that reads or drops the stream, so it must
    /// be quick and must not panic.
    ///
    /// A unary response calls it before this returns and allocates nothing.
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static;

    /// What happened on the way, where the response has a place for it.
    fn history(&self) -> Option<&History> {
        None
    }

    /// What happened on the way, to be added to; `None` where the response has no place for it.
    fn history_mut(&mut self) -> Option<&mut History> {
        None
    }
}

type Observer = Box<dyn FnOnce(&Completion) + Send>;

/// The observers of a stream, for the types that implement [`HasCompletion`]: keeps what is known so far
/// and tells every observer exactly once.
///
/// ```
/// use tower_bedrock_core::{Completion, Observers, Outcome};
///
/// struct MyStream {
///     observers: Observers,
/// }
///
/// let mut stream = MyStream { observers: Observers::default() };
/// stream.observers.add(|completion: &Completion| assert_eq!(completion.outcome, Outcome::Dropped));
/// drop(stream); // before its end: the observer is told so
/// ```
#[derive(Default)]
pub struct Observers {
    completion: Completion,
    finished: bool,
    observers: Vec<Observer>,
}

impl Completion {
    /// A call that arrived whole, at the given cost.
    #[must_use]
    pub const fn complete(usage: Option<TokenUsage>) -> Self {
        Self {
            outcome: Outcome::Complete,
            usage,
            time_to_first_token: None,
        }
    }
}

/// A response that was dropped before anything was known of it.
impl Default for Completion {
    fn default() -> Self {
        Self {
            outcome: Outcome::Dropped,
            usage: None,
            time_to_first_token: None,
        }
    }
}

impl Observers {
    /// Adds an observer. It is told at once where the stream has finished already.
    pub fn add(&mut self, observer: impl FnOnce(&Completion) + Send + 'static) {
        if self.finished {
            observer(&self.completion);
        } else {
            self.observers.push(Box::new(observer));
        }
    }

    /// Notes the time to the first token. Only the first call counts.
    pub fn first_token(&mut self, after: Duration) {
        self.completion.time_to_first_token.get_or_insert(after);
    }

    /// Notes the tokens used. A later call replaces an earlier one.
    pub fn usage(&mut self, usage: TokenUsage) {
        self.completion.usage = Some(usage);
    }

    /// Tells every observer how the stream ended. Only the first call counts.
    pub fn finish(&mut self, outcome: Outcome) {
        if !self.finished {
            self.finished = true;
            self.completion.outcome = outcome;
            for observer in self.observers.drain(..) {
                observer(&self.completion);
            }
        }
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        self.finish(Outcome::Dropped);
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("completion", &self.completion)
            .field("finished", &self.finished)
            .field("observers", &self.observers.len())
            .finish()
    }
}
