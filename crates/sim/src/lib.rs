//! A local Amazon Bedrock for tests, examples and experiments: one engine (quotas, faults, latency, a
//! ledger), in front of it an HTTP face that speaks Bedrock's wire protocol and an in-process Tower face
//! that runs in paused time.

mod call;
mod config;
mod error;
mod fault;
pub mod http;
mod ledger;
mod operation;
mod plan;
mod quota;
mod settings;
mod simulator;
mod text;
mod tokens;

pub use self::{
    call::Call,
    config::{AccessKey, Config, ConfigError, Credentials, QuotaSettings},
    error::{Exception, ServiceError},
    fault::{FaultAt, FaultName, FaultSpec},
    ledger::{Ledger, LedgerEntry, QuotaLevel, QuotaLevels},
    operation::{Operation, UnknownOperation},
    plan::{At, Delta, Disruption, Plan, StopReason},
    quota::BackgroundCaller,
    settings::{ModelSettings, OutputTokens, WindowShape},
    simulator::{Admitted, Denied, Simulator},
    tokens::{ContentClass, Input},
};
