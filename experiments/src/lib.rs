//! The experiments that show what tower-bedrock's layers buy, each in simulated time, beside what others do.
//!
//! An experiment runs the project's real layers (and, where it can be done, the others' real code) against
//! the simulator's engine, and hands back a [`Report`]: a page with tables, and a plot.

pub mod backoff;
pub mod baselines;
pub mod closed_loop;
pub mod dashboard;
pub mod failing_dependency;
pub mod fleet;
pub mod job;
pub mod load;
pub mod monday;
mod options;
pub mod ours;
pub mod outage;
pub mod plot;
mod report;
pub mod run;
mod shared;
mod slot;
pub mod stats;
mod table;
pub mod unknown_quota;
pub mod world;

pub use self::{
    options::Options,
    report::Report,
    table::{Table, thousands},
};

/// An experiment.
pub type Experiment = fn(&Options) -> anyhow::Result<Report>;

/// Every experiment, by the name that `cargo xtask experiment` knows it by.
pub const EXPERIMENTS: [(&str, Experiment); 8] = [
    ("backoff", backoff::run),
    ("closed-loop", closed_loop::run),
    ("dashboard", dashboard::run),
    ("failing-dependency", failing_dependency::run),
    ("fleet", fleet::run),
    ("monday", monday::run),
    ("outage", outage::run),
    ("unknown-quota", unknown_quota::run),
];
