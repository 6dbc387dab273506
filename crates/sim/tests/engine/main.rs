//! The engine through its public API and its in-process face, in paused time.

mod config;
mod faults;
mod quotas;
mod settlement;
mod streams;
mod support;
mod validation;
