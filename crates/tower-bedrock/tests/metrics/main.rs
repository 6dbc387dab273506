//! What policies report arrives at the recorder under the names of the table.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used)]

mod alarms;
mod allocations;
mod cache;
mod policies;
mod quota;
mod support;
