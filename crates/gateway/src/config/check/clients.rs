//! `[[client]]`

use std::collections::HashSet;

use tower_bedrock_core::{Priority, Tenant};

use super::{InvalidConfig, expected_name, is_name};
use crate::config::{Client, file};

const DEFAULT_SHARE: u32 = 1;
/// The greatest weight that a quota's queue takes.
const MAX_SHARE: u32 = 1_000;

pub(super) fn clients(clients: Vec<file::Client>) -> Result<Vec<Client>, InvalidConfig> {
    let mut seen = HashSet::new();
    clients
        .into_iter()
        .map(|client| {
            let file::Client {
                name,
                key_sha256,
                priority,
                share,
            } = client;
            if !is_name(&name) {
                return Err(InvalidConfig::value("client.name", name, &expected_name()));
            }
            if !seen.insert(name.clone()) {
                let expected = "a name of its own for every client";
                return Err(InvalidConfig::value("client.name", name, expected));
            }
            // A value that is wrong here may be the key itself, so it is not shown.
            let hash = hash(&key_sha256).ok_or_else(|| {
                InvalidConfig(format!(
                    "client.key_sha256 of {name:?} is not valid ({} characters): expected the SHA-256 of \
                     the key as 64 hexadecimal digits; printf %s \"$KEY\" | sha256sum prints it",
                    key_sha256.chars().count()
                ))
            })?;
            let share = share.unwrap_or(DEFAULT_SHARE);
            if !(1..=MAX_SHARE).contains(&share) {
                let key = format!("client.share of {name:?}");
                return Err(InvalidConfig::value(&key, share, &format!("1 to {MAX_SHARE}")));
            }
            Ok(Client {
                priority: priority_of(&name, priority.as_deref())?,
                name,
                key_sha256: hash,
                share,
            })
        })
        .collect()
}

/// Of those that differ from the default, in the order of their names, so that a plain client more or less, or one
/// in another place, is no change of them.
pub(super) fn shares(clients: &[Client]) -> Vec<(Tenant, u32)> {
    let mut shares: Vec<_> = clients
        .iter()
        .filter(|client| client.share != DEFAULT_SHARE)
        .map(|client| (Tenant::from(client.name.as_str()), client.share))
        .collect();
    shares.sort_unstable();
    shares
}

fn priority_of(client: &str, name: Option<&str>) -> Result<Priority, InvalidConfig> {
    let Some(name) = name else {
        return Ok(Priority::default());
    };
    let known = |priority: &Priority| priority.as_str() == name;
    Priority::ALL.into_iter().find(known).ok_or_else(|| {
        let key = format!("client.priority of {client:?}");
        InvalidConfig::value(&key, name, r#""interactive", "normal" or "batch""#)
    })
}

fn hash(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(hexadecimal, &mut hash).ok()?;
    Some(hash)
}
