//! `bedrock-gateway batch`: a file of records, run through the layers.
//!
//! Input and output have the form of Bedrock's own batch inference: a line is
//! `{"recordId": ..., "modelInput": {...}}`, and comes out with its `modelOutput`, or with
//! `"error": {"errorCode": ..., "errorMessage": ...}` in its place.
//!
//! The output is the journal: a record that has its line there is finished. So a run that was killed goes on where it
//! was, and what it was writing when it died is cut off and done again.

mod call;
mod input;
mod line;
mod output;
mod progress;
mod record;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use tower_bedrock_core::{Fault, FaultKind, ModelId, Priority, Target};
use tower_bedrock_queue::{InvalidConfig as InvalidWorker, MemoryQueue, Verdict, Worker};

use self::{
    call::{Calls, message},
    input::Input,
    line::{Answers, Line},
    output::Output,
    progress::Progress,
};
use crate::{
    Operation,
    budget::Budget,
    config::{Config, InvalidConfig, UpstreamKind},
    fleet,
    gateway::{StartError, endpoint},
    identity,
    sim::Sim,
    stack::Stack,
    trace::TraceHeaders,
    upstream::{Limits, Upstream},
};

/// What to run, and how.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct BatchArgs {
    /// The records, a line each: {"recordId": "...", "modelInput": {...}}.
    pub input: PathBuf,
    /// Where their answers go. One that a run left unfinished is gone on with.
    pub output: PathBuf,
    /// The model, or the inference profile, by id or ARN.
    #[arg(long, value_name = "ID")]
    pub model: ModelId,
    /// What a modelInput is the body of.
    #[arg(long, value_name = "OPERATION", value_enum, default_value_t)]
    pub invocation_type: InvocationType,
    /// The most calls under way at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: usize,
    /// The share of each of a quota's limits that is left to others: as much as they may want at once.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    pub leave_share: f64,
    /// How often a record is attempted, each time with all the retries of the configuration.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_attempts: u32,
}

/// Bedrock's `modelInvocationType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum InvocationType {
    /// What InvokeModel takes: the model's own form.
    #[default]
    InvokeModel,
    /// What Converse takes.
    Converse,
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Records of the input.
    pub records: u64,
    /// Of these, finished by runs before.
    pub before: u64,
    /// Answered in this run.
    pub answered: u64,
    /// Failed in this run, with their errors in the output.
    pub failed: u64,
    /// Tokens that this run's answers used.
    pub tokens: u64,
}

/// Why a batch cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The input cannot be read.
    #[error("cannot read the input: {0}")]
    Input(#[source] io::Error),
    /// The output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run writes the output.
    #[error("{} is being written by another run", .0.display())]
    Busy(PathBuf),
    /// The output has a line that no run over this input would have written.
    #[error(
        "{}: line {} answers no record of the input. It is left as it is: name another output, or the input \
         that it is of",
        .0.display(), .1
    )]
    NotOurs(PathBuf, u64),
    /// A flag says what cannot be.
    #[error("--{}", .0.to_string().replacen('_', "-", 1))]
    Flags(#[from] InvalidWorker),
    /// The policies cannot be as configured.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The upstream cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs a batch until it is done or `stop` completes; shows its progress on standard error. Calls that are under way
/// then may go on for `server.drain_timeout`, for they are paid for.
///
/// # Errors
///
/// [`BatchError`]: before anything is called; where lines cannot be brought to disk; and where the input is not what it
/// was when the run began.
///
/// # Cancel safety
///
/// Dropped or killed, it is gone on with by the next run. What was called for and not yet answered is paid for again.
pub async fn run(
    args: &BatchArgs,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> Result<Summary, BatchError> {
    let (input, ids) = Input::open(&args.input).map_err(BatchError::Input)?;
    let (upstream, sim) = upstream(config).await?;
    let mut config = config.clone();
    // A record is answered by the model that it was asked of, and now, or not at all: its line has no room to say else.
    config.stack.fallback.clear();
    config.cache = None;
    if let Some(fleet) = &mut config.fleet {
        fleet.priority = Priority::Batch;
    }
    let fleet = fleet::join(&mut config)?;
    let stack = Stack::new(&config, &upstream)?;
    let (output, finished) = Output::open(&args.output, &input, &ids)?;
    drop(ids);
    let input = Arc::new(input);
    let before = finished.iter().filter(|finished| **finished).count() as u64;
    let records = input.len() as u64;
    let progress = Progress::new(records, before);

    let queue = MemoryQueue::new();
    for index in (0..finished.len()).filter(|index| !finished[*index]) {
        match input.refusal(index).map_err(BatchError::Input)? {
            Some(line) => {
                let progress = progress.clone();
                let written = output.append(index, line, move || progress.failed());
                let written = written.await;
                written.map_err(|source| unwritable(&args.output, source))?;
            }
            None => queue.send(message(index)),
        }
    }

    let operation = args.invocation_type.operation();
    let region = config.upstream.regions.default().clone();
    let calls = Calls {
        input: Arc::clone(&input),
        operation,
        target: Target::new(region, args.model.clone()),
        tokens: progress.tokens(),
    };
    let answers = Answers {
        input: Arc::clone(&input),
        output: output.clone(),
        progress: progress.clone(),
    };
    let line = Line {
        queue: queue.clone(),
        answers: answers.clone(),
    };
    let layers = stack.layers();
    let worker = Worker::builder(line, stack.service(operation), calls)
        .results(answers)
        .headroom((layers.quota().limiter().clone(), layers.breaker().handle()))
        .leave_share(args.leave_share)
        .concurrency(args.concurrency)
        .max_attempts(args.max_attempts)
        .drain(config.server.drain_timeout)
        .verdict(verdict)
        .build()?;

    let mut broken = Ok(());
    let ended = async {
        tokio::select! {
            () = stop => {}
            () = queue.drained() => {}
            why = input.lost() => broken = Err(BatchError::Input(why)),
            why = output.keep_synced() => broken = Err(unwritable(&args.output, why)),
        }
    };
    let work = async {
        tokio::select! {
            _ = worker.run_until(ended) => {}
            never = progress.show() => match never {},
        }
    };
    let work = fleet::leased_for(fleet, work);
    match sim {
        Some(sim) => {
            let address = sim.address();
            let served = sim.serve_while(work).await;
            served.map_err(|source| StartError::Sim { address, source })?;
        }
        None => work.await,
    }
    output
        .sync()
        .await
        .map_err(|source| unwritable(&args.output, source))?;
    broken?;
    let (answered, failed) = progress.counts();
    Ok(Summary {
        records,
        before,
        answered,
        failed,
        tokens: progress.tokens_used(),
    })
}

/// A model that is not there is not there for any record: its error is as good at once as after the last attempt.
fn verdict(fault: &Fault) -> Verdict {
    match fault.kind() {
        FaultKind::ResourceNotFound => Verdict::SetAside,
        _ => Verdict::of(fault),
    }
}

fn unwritable(path: &Path, source: io::Error) -> BatchError {
    let path = path.to_owned();
    BatchError::Output { path, source }
}

/// The leaf, with the identity that the environment has for it; and the simulator, on a port of its own, where that
/// is what answers.
async fn upstream(config: &Config) -> Result<(Upstream, Option<Sim>), StartError> {
    let kind = match &config.upstream.kind {
        UpstreamKind::Sim(address) => UpstreamKind::Sim(SocketAddr::new(address.ip(), 0)),
        kind => kind.clone(),
    };
    let (endpoint, sim) = endpoint(&kind, config.upstream.regions.default()).await?;
    let signer = identity::signer(&config.upstream).await?;
    let budget = Budget::new(config.server.max_buffered_bytes);
    let limits = Limits::of(&config.server);
    let trace = config.otlp.as_ref().map(|_| TraceHeaders::new());
    let upstream = Upstream::with_limits(endpoint, signer, limits, budget, trace)
        .map_err(StartError::Certificates)?;
    Ok((upstream, sim))
}

impl InvocationType {
    const fn operation(self) -> Operation {
        match self {
            Self::InvokeModel => Operation::InvokeModel,
            Self::Converse => Operation::Converse,
        }
    }
}

impl Summary {
    /// Whether every record has its line in the output.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.left() == 0
    }

    const fn left(&self) -> u64 {
        let done = self.before + self.answered + self.failed;
        self.records.saturating_sub(done)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records,
            before,
            answered,
            failed,
            tokens,
        } = self;
        write!(
            f,
            "{records} records: {answered} answered and {failed} failed in this run, {before} finished before it, {} left; \
             {tokens} tokens",
            self.left(),
        )
    }
}
