//! Reading what a client sends: not for ever, not without bounds, and nothing it should not have sent.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Deserialize;

use crate::{Exception, Operation, ServiceError};

/// Bedrock's limit for the body of InvokeModel.
const LIMIT: usize = 25_000_000;

/// CountTokens carries such a body in base64, with some JSON around it.
const COUNT_TOKENS_LIMIT: usize = LIMIT / 3 * 4 + 1_024;

/// How long a client may take to send a body.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How many keys that do not belong there a message names.
const MAX_EXTRANEOUS: usize = 8;

/// Reads a body to its end.
///
/// One that is too long is read to its end as well (within reason) and thrown away: clients that are
/// still sending do not see an answer.
///
/// # Errors
///
/// The exceptions for a body that is too long, takes too long or breaks off.
pub(super) async fn read(body: Body, operation: Operation) -> Result<Bytes, ServiceError> {
    tokio::time::timeout(TIMEOUT, collect(body, limit(operation)))
        .await
        .unwrap_or_else(|_| {
            Err(ServiceError::new(
                Exception::RequestTimeout,
                "The request body did not arrive in time.",
            ))
        })
}

const fn limit(operation: Operation) -> usize {
    match operation {
        Operation::CountTokens => COUNT_TOKENS_LIMIT,
        _ => LIMIT,
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, ServiceError> {
    let mut received: usize = 0;
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            ServiceError::new(Exception::Serialization, "The request body broke off.")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        received = received.saturating_add(data.len());
        if received <= limit {
            buffer.extend_from_slice(&data);
        } else {
            buffer = BytesMut::new();
        }
        if received > limit.saturating_mul(4) {
            break;
        }
    }
    if received > limit {
        return Err(ServiceError::validation(format!(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: \
             Member must have length less than or equal to {limit}"
        )));
    }
    Ok(buffer.freeze())
}

/// Why a body is not what it should be.
#[derive(Debug)]
pub(super) enum Malformed {
    /// It is not JSON.
    Syntax(String),
    /// It is JSON of another shape.
    Shape(String),
    /// It has keys that do not belong there.
    Extraneous(String),
}

/// Reads JSON as what it should be, every key of it.
pub(super) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Malformed> {
    let mut extraneous = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_ignored::deserialize(&mut json, |path| {
        if extraneous.len() < MAX_EXTRANEOUS {
            extraneous.push(path.to_string());
        }
    })
    .and_then(|parsed| json.end().map(|()| parsed))
    .map_err(|error| {
        if error.is_data() {
            Malformed::Shape(error.to_string())
        } else {
            Malformed::Syntax(error.to_string())
        }
    })?;
    if extraneous.is_empty() {
        Ok(parsed)
    } else {
        Err(Malformed::Extraneous(
            extraneous.iter().map(|path| describe(path)).collect(),
        ))
    }
}

/// `messages.0.?.content.1.type` as Bedrock writes it: `#/messages/0/content/1: extraneous key [type] ..`
fn describe(path: &str) -> String {
    // A client chooses its keys; the start of a long one is enough to recognise.
    const LONGEST: usize = 64;
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut pointer = String::from("#");
    for parent in parents
        .split('.')
        .filter(|part| !part.is_empty() && *part != "?")
    {
        pointer.push('/');
        pointer.extend(parent.chars().take(LONGEST));
    }
    let key: String = key.chars().take(LONGEST).collect();
    format!("{pointer}: extraneous key [{key}] is not permitted")
}

impl Malformed {
    /// As an operation answers whose input Bedrock itself reads.
    pub(super) fn into_converse_error(self) -> ServiceError {
        match self {
            Self::Syntax(reason) | Self::Shape(reason) => {
                ServiceError::new(Exception::Serialization, reason)
            }
            Self::Extraneous(keys) => malformed_input(&keys),
        }
    }

    /// As an operation answers whose input is the model provider's.
    pub(super) fn into_invoke_error(self) -> ServiceError {
        match self {
            Self::Syntax(reason) | Self::Shape(reason) | Self::Extraneous(reason) => {
                malformed_input(&reason)
            }
        }
    }
}

pub(super) fn malformed_input(reason: &str) -> ServiceError {
    ServiceError::validation(format!(
        "Malformed input request: {reason}, please reformat your input and try again."
    ))
}
