//! Quotas, and who uses them up.

mod background;

pub use background::BackgroundCaller;
