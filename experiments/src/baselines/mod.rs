//! What ours is compared with.

pub mod naive;
pub mod sdk;
mod wire;
