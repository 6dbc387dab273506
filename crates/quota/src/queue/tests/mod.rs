//! The order of those who wait.

mod book;
mod fairness;
mod places;

use tower_bedrock_core::{Priority, Tenant};

use super::Newcomer;
use crate::time::Time;

fn tenant(which: usize) -> Option<Tenant> {
    (which > 0).then(|| Tenant::from(format!("tenant-{which}")))
}

fn newcomer(class: usize, tenant: Option<&Tenant>, weight: u32, tokens: u64) -> Newcomer<'_> {
    Newcomer {
        priority: Priority::ALL[class],
        tenant,
        weight,
        tokens,
        since: Time::ZERO,
        gives_up: None,
    }
}
