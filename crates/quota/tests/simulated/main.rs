//! The layer against the simulator, whose arithmetic is another's.

#![allow(clippy::unwrap_used)]

mod estimates;
mod spike;
mod warning;
