//! Scripted faults: what goes wrong, for whom and when.

mod spec;

pub use spec::{FaultAt, FaultName, FaultSpec};
