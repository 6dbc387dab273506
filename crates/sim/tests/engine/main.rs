//! The engine through its public API and its in-process face, in paused time.

#![allow(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

mod config;
mod faults;
mod quotas;
mod script;
mod settlement;
mod streams;
mod support;
mod validation;
