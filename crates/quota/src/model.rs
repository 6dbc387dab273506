use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tower_bedrock_core::{Demand, TokenUsage};

use crate::estimate::{Estimate, OutputSizes};

/// What is known of one model version, in whatever Region and way it is called.
pub(crate) struct Model {
    base: Arc<str>,
    pub(crate) burndown: u32,
    pub(crate) max_output: u64,
    /// Estimates its input tokens.
    input: Arc<dyn Estimate>,
    /// Where requests without a bound on the output are to be given one.
    outputs: Option<OutputSizes>,
    warned: AtomicBool,
}

impl Model {
    pub(crate) const fn new(
        base: Arc<str>,
        burndown: u32,
        max_output: u64,
        input: Arc<dyn Estimate>,
        outputs: Option<OutputSizes>,
    ) -> Self {
        Self {
            base,
            burndown,
            max_output,
            input,
            outputs,
            warned: AtomicBool::new(false),
        }
    }

    pub(crate) fn input_tokens(&self, demand: &Demand) -> u64 {
        self.input.input_tokens(&self.base, demand)
    }

    /// The most output tokens that Bedrock reserves for a request.
    pub(crate) fn output_tokens(&self, demand: &Demand) -> u64 {
        demand.max_output_tokens().unwrap_or_else(|| {
            if !self.warned.swap(true, Relaxed) {
                tracing::warn!(
                    model = &*self.base,
                    reserved = self.max_output,
                    "a request sets no max_tokens, so Bedrock reserves the model's maximum; \
                     set one to use the quota well",
                );
            }
            self.max_output
        })
    }

    /// The bound for a request that sets none, where there is to be one.
    pub(crate) fn right_size(&self) -> Option<u64> {
        let bound = self.outputs.as_ref()?.bound()?;
        Some(bound.min(self.max_output))
    }

    pub(crate) fn learn(&self, demand: &Demand, usage: &TokenUsage) {
        self.input.learn(&self.base, demand, usage);
        if let Some(outputs) = &self.outputs {
            outputs.learn(usage.output);
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("base", &self.base)
            .field("burndown", &self.burndown)
            .field("max_output", &self.max_output)
            .finish_non_exhaustive()
    }
}
