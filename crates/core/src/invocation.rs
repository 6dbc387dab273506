use std::fmt;

use crate::{Context, Demand, HasDemand, HasTarget, Target};

/// The request envelope, as `http::Request<B>` is for HTTP: where it goes, what it may cost, under which
/// circumstances, and the input itself.
///
/// ```
/// use tower_bedrock_core::{Context, Demand, Invocation, Priority, Target};
///
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// let invocation = Invocation::new(target, "Say hello.")
///     .with_demand(Demand::new(3).with_max_output_tokens(20))
///     .with_context(Context::new().with_priority(Priority::Batch));
/// assert_eq!(*invocation.input(), "Say hello.");
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
///
/// **The envelope decides.** A leaf sends the input to the envelope's target and, where the envelope's
/// demand bounds the output, with that bound, whatever the input itself says. That is how a policy can
/// re-target a call or right-size it without knowing the input's type.
///
/// `Debug` shows the envelope and not the input, which may hold what users wrote.
#[derive(Clone)]
pub struct Invocation<I> {
    target: Target,
    demand: Demand,
    context: Context,
    input: I,
}

impl<I> Invocation<I> {
    /// An input on its way to a target, with an unknown demand and an empty context.
    pub fn new(target: Target, input: I) -> Self {
        Self {
            target,
            demand: Demand::default(),
            context: Context::new(),
            input,
        }
    }

    /// Sets what the call may cost.
    #[must_use]
    pub fn with_demand(mut self, demand: Demand) -> Self {
        self.demand = demand;
        self
    }

    /// Sets deadline, priority and tenant.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// The input.
    pub const fn input(&self) -> &I {
        &self.input
    }

    /// The input, to be changed.
    pub const fn input_mut(&mut self) -> &mut I {
        &mut self.input
    }

    /// What the call may cost, to be changed (by whoever changes the input).
    pub const fn demand_mut(&mut self) -> &mut Demand {
        &mut self.demand
    }

    /// The same envelope around another input.
    pub fn map<J>(self, f: impl FnOnce(I) -> J) -> Invocation<J> {
        Invocation {
            target: self.target,
            demand: self.demand,
            context: self.context,
            input: f(self.input),
        }
    }

    /// The input, out of its envelope.
    pub fn into_input(self) -> I {
        self.input
    }
}

impl<I> HasTarget for Invocation<I> {
    fn target(&self) -> &Target {
        &self.target
    }

    fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn context_mut(&mut self) -> Option<&mut Context> {
        Some(&mut self.context)
    }
}

impl<I> HasDemand for Invocation<I> {
    fn demand(&self) -> Demand {
        self.demand
    }

    fn set_max_output_tokens(&mut self, max_output_tokens: u64) -> bool {
        self.demand = self.demand.with_max_output_tokens(max_output_tokens);
        true
    }
}

impl<I> fmt::Debug for Invocation<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("target", &format_args!("{}", self.target))
            .field("demand", &self.demand)
            .field("context", &self.context)
            .field("input", &format_args!("{}", std::any::type_name::<I>()))
            .finish()
    }
}
