//! Tests that cross crates: the SDK leaf, the gateway and the simulator, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod call;
mod canary;
mod commit_point;
mod count;
mod faults;
mod kept;
mod local;
mod readme;
mod streams;
