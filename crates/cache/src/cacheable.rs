use tower_bedrock_core::{Answer, HasCompletion};

/// A response that can be kept and given again.
///
/// Implemented for every [`Answer`] whose output is `Clone`. A stream implements it by taking down what passes,
/// and giving that again as a stream.
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
