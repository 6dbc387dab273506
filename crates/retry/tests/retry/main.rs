//! Tests of the retry layer from outside, in paused time and with seeded randomness.
#![allow(
    clippy::unwrap_used,
    reason = "clippy knows a test by its attribute, and its helpers have none"
)]

mod attempts;
mod backoff;
mod budget;
mod cancel;
mod common;
mod cost;
mod cycle;
mod history;
mod peers;
mod policy;
mod readiness;
mod session;
mod time;
