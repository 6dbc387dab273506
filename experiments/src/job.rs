//! The work: calls of random size, and who is asked to do them.

use bedrock_sim::{ContentClass, Input, Prompt};
use rand::{Rng, RngExt};
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower_bedrock::{Context, FaultKind, Invocation, Priority, Target};

/// One call to be made.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What kind of text is sent.
    pub class: ContentClass,
    /// How many bytes of it. A client sees these; how many tokens they are, only the service knows.
    pub bytes: u64,
    /// The most output tokens asked for.
    pub max_output_tokens: u64,
    /// How many the model will say.
    pub output_tokens: u64,
    /// When its answer is of no use any more.
    pub deadline: Option<Instant>,
}

/// Who is compared: a client, whole with its policies. It answers that the job is done, or why not.
pub type Subject = BoxCloneService<Job, (), FaultKind>;

/// Simulated tokens a byte of prose, by the simulator's own documentation.
const PROSE: f64 = 0.228;

/// What is asked for in most experiments: prompts of 200 to 2,000 tokens, three of five in prose, the rest
/// in code and JSON; at most 1,000 tokens out, of which 50 to 600 are used.
#[must_use]
pub fn draw(rng: &mut impl Rng) -> Job {
    // Simulated tokens a byte, by the simulator's own documentation.
    let (class, density) = match rng.random_range(0..5) {
        0..3 => (ContentClass::Prose, PROSE),
        3 => (ContentClass::Code, 0.331),
        _ => (ContentClass::Json, 0.371),
    };
    let tokens = rng.random_range(200..=2_000);
    Job {
        class,
        bytes: (f64::from(tokens) / density).round() as u64,
        max_output_tokens: 1_000,
        output_tokens: rng.random_range(50..=600),
        deadline: None,
    }
}

/// What such a call costs on average at a burndown of 5, in tokens of quota.
pub const MEAN_COST: f64 = 1_100.0 + 325.0 * 5.0;

impl Job {
    /// The same, in prose: as many tokens, in more bytes or as many.
    #[must_use]
    pub fn in_prose(self) -> Self {
        Self {
            class: ContentClass::Prose,
            bytes: (self.input().tokens(1.0) as f64 / PROSE).round() as u64,
            ..self
        }
    }

    /// What the service makes of the text.
    #[must_use]
    pub fn input(&self) -> Input {
        Input::of_bytes(self.class, self.bytes)
    }

    /// What it costs at a burndown of 5, in tokens of quota.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.input().tokens(1.0) + 5 * self.output_tokens
    }

    /// As an invocation of a Tower service.
    #[must_use]
    pub fn to(&self, target: &Target, priority: Priority) -> Invocation<Prompt> {
        let context = Context::new().with_priority(priority);
        let context = match self.deadline {
            Some(deadline) => context.with_deadline(deadline),
            None => context,
        };
        Prompt::new(self.input())
            .with_max_output_tokens(self.max_output_tokens)
            .with_output_tokens(self.output_tokens)
            .to(target.clone())
            .with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::randomness;

    #[test]
    fn jobs_cost_what_they_are_said_to() {
        let mut rng = randomness(1, 0);
        let costs: u64 = (0..20_000)
            .map(|_| draw(&mut rng))
            .map(|job| job.cost())
            .sum();
        let mean = costs as f64 / 20_000.0;
        assert!((mean / MEAN_COST - 1.0).abs() < 0.01, "{mean}");
    }
}
