//! The HTTP face over a real TCP listener, spoken to in raw HTTP.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy excuses only the tests themselves"
)]

mod connections;
mod control;
mod faults;
mod operations;
mod signatures;
mod streams;
mod support;
mod timing;
mod validation;
