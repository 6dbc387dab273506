//! The layer as a whole, around scripted services, in paused time.

#![allow(clippy::unwrap_used)]

mod kept;
mod observed;
mod served;
mod sharing;
mod support;
