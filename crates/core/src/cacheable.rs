use crate::{Answer, HasCompletion};

/// A response that can be kept and given again.
///
/// ```
/// use std::sync::mpsc;
/// use tower_bedrock_core::{Answer, Cacheable};
///
/// let (sender, kept) = mpsc::channel();
/// let answer = Answer::new("Hello.").when_whole(move |output| sender.send(output).unwrap());
/// assert_eq!(*answer.output(), "Hello.");
/// assert_eq!(*Answer::again(kept.recv().unwrap()).output(), "Hello.");
/// ```
///
/// Implemented for every [`Answer`] whose output is `Clone`. A stream implements it by taking down what passes,
/// and giving that again as a stream. Asked by whoever keeps answers; here, because neither those who keep them nor
/// those who make them are to know one another.
pub trait Cacheable: HasCompletion + Sized {
    /// What is kept of it.
    type Kept: Clone + Send + Sync + 'static;

    /// Has `keep` called once the answer is whole: at once for a unary one, at its end for a stream. Where it
    /// breaks off, `keep` is dropped without being called.
    #[must_use]
    fn when_whole<F>(self, keep: F) -> Self
    where
        F: FnOnce(Self::Kept) + Send + 'static;

    /// The answer again, with an empty history and no usage.
    #[must_use]
    fn again(kept: Self::Kept) -> Self;
}

impl<O: Clone + Send + Sync + 'static> Cacheable for Answer<O> {
    type Kept = O;

    fn when_whole<F>(self, keep: F) -> Self
    where
        F: FnOnce(O) + Send + 'static,
    {
        keep(self.output().clone());
        self
    }

    fn again(output: O) -> Self {
        Self::new(output)
    }
}
