//! A local Amazon Bedrock for tests, examples and experiments: one engine (quotas, faults, latency, a
//! ledger), in front of it an HTTP face that speaks Bedrock's wire protocol and an in-process Tower face
//! that runs in paused time.

mod burndown;
mod call;
mod catalog;
mod config;
mod engine;
mod error;
mod fault;
pub mod http;
mod ledger;
mod model;
mod operation;
mod plan;
mod quota;
mod regions;
mod service;
mod settings;
mod simulator;
mod text;
mod tokens;

pub use self::{
    call::Call,
    config::{AccessKey, Config, ConfigError, Credentials, QuotaSettings},
    error::{Denied, Exception, ServiceError},
    fault::{FaultAt, FaultName, FaultSpec},
    ledger::{Ledger, LedgerEntry, QuotaLevel, QuotaLevels},
    operation::{Operation, UnknownOperation},
    plan::{At, Delta, Disruption, Plan, Step, StopReason},
    quota::BackgroundCaller,
    service::{
        Prompt, Reply, ReplyFuture, ReplyStream, ReplyStreamFuture, SimulatedBedrock,
        SimulatedError, StreamPrompt,
    },
    settings::{ModelSettings, OutputTokens, WindowShape},
    simulator::{Admitted, Simulator},
    tokens::{ContentClass, Input},
};
