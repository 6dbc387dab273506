//! The worker, in paused time.

#![allow(clippy::unwrap_used)]

mod faults;
mod headroom;
mod renewal;
mod settings;
mod stopping;
mod support;
mod working;
