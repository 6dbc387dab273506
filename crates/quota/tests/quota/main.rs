//! What the limiter and its layer do, in paused time.

#![allow(clippy::unwrap_used)]

mod layer;
mod learning;
mod waiting;
