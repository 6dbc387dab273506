//! Scripted faults: what goes wrong, for whom and when.

mod name;
mod script;
mod spec;

pub(crate) use self::script::{Effect, Script};
pub use self::{
    name::FaultName,
    spec::{FaultAt, FaultSpec},
};
