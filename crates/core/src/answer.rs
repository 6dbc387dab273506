use std::fmt;

use crate::{Completion, HasCompletion, History, TokenUsage};

/// The envelope of a unary response: the output, the tokens it used, and what happened on the way.
///
/// ```
/// use tower_bedrock_core::{Answer, TokenUsage};
///
/// let answer = Answer::new("Hello.").with_usage(TokenUsage { input: 3, output: 2, ..Default::default() });
/// assert_eq!(*answer.output(), "Hello.");
/// assert_eq!(answer.usage().map(|usage| usage.total()), Some(5));
/// ```
///
/// `Debug` shows the envelope and not the output, which may hold what users are to read.
#[derive(Clone)]
pub struct Answer<O> {
    output: O,
    usage: Option<TokenUsage>,
    history: History,
}

impl<O> Answer<O> {
    /// An output whose token usage is not known.
    pub fn new(output: O) -> Self {
        Self {
            output,
            usage: None,
            history: History::default(),
        }
    }

    /// Sets the tokens it used.
    #[must_use]
    pub fn with_usage(mut self, usage: impl Into<Option<TokenUsage>>) -> Self {
        self.usage = usage.into();
        self
    }

    /// The output.
    pub const fn output(&self) -> &O {
        &self.output
    }

    /// The output, to be changed.
    pub const fn output_mut(&mut self) -> &mut O {
        &mut self.output
    }

    /// The tokens used, where the response said.
    #[must_use]
    pub const fn usage(&self) -> Option<TokenUsage> {
        self.usage
    }

    /// The same envelope around another output.
    pub fn map<P>(self, f: impl FnOnce(O) -> P) -> Answer<P> {
        Answer {
            output: f(self.output),
            usage: self.usage,
            history: self.history,
        }
    }

    /// The output, out of its envelope.
    pub fn into_output(self) -> O {
        self.output
    }
}

impl<O> HasCompletion for Answer<O> {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        observer(&Completion::complete(self.usage));
    }

    fn history(&self) -> Option<&History> {
        Some(&self.history)
    }

    fn history_mut(&mut self) -> Option<&mut History> {
        Some(&mut self.history)
    }
}

impl<O> fmt::Debug for Answer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("output", &format_args!("{}", std::any::type_name::<O>()))
            .field("usage", &self.usage)
            .field("history", &self.history)
            .finish()
    }
}
