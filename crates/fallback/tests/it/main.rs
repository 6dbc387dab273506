//! The layer as a whole, around scripted services, in paused time.

#![allow(clippy::unwrap_used)]

mod chain;
mod contract;
mod degraded;
mod edges;
mod falling;
mod headroom;
mod last_resort;
mod support;
mod time;
