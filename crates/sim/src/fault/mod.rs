//! Scripted faults: what goes wrong, for whom and when.

mod name;
mod script;
mod spec;
#[cfg(test)]
mod tests;

pub(crate) use self::script::{Effect, Script};
pub use self::{
    name::FaultName,
    spec::{FaultAt, FaultSpec},
};
