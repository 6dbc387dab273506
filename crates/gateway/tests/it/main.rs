//! A gateway in front of an upstream that does as it is told.
//!
//! Tests of what is set up once for a whole process, logs, metrics and traces, are programs of their own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cache;
mod check;
mod come_back;
mod competing;
mod configuration;
mod documentation;
mod embedded;
mod failures;
mod fleet;
mod forwarding;
mod identity;
mod leaf;
mod limits;
mod policies;
mod reload;
mod shutdown;
mod streams;
mod tls;

#[path = "../../../quota/tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use more of it")]
mod redis_server;
#[path = "../support/mod.rs"]
mod support;
