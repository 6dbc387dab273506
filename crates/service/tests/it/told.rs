//! Who listens for the end of a stream.

use std::sync::{Arc, Mutex};

use tower_bedrock_core::{Completion, HasCompletion};
use tower_bedrock_service::{EventStream, StreamEvent};

/// Every completion that was told.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Completion>>>);

impl Told {
    pub(crate) fn by<E: StreamEvent>(stream: &mut EventStream<E>) -> Self {
        let told = Self::default();
        let told_to = told.clone();
        stream.on_completion(move |completion| told_to.0.lock().unwrap().push(*completion));
        told
    }

    pub(crate) fn all(&self) -> Vec<Completion> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn once(&self) -> Completion {
        let all = self.all();
        assert_eq!(all.len(), 1, "completions told");
        all[0]
    }
}
