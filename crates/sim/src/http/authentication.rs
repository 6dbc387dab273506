//! Who is calling, and which Region.

use std::time::SystemTime;

use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use subtle::ConstantTimeEq;
use tower_bedrock_core::Region;

use super::signature::Signature;
use crate::{Credentials, Exception, ServiceError, Simulator};

/// Names the Region of a request that carries no signature.
const SIM_REGION: &str = "x-sim-region";

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// The Region a request is for: its signature's, else the one `x-sim-region` names, else the default one.
///
/// The signature is not checked here, so that a refusal can be booked on the Region it was meant for.
pub(super) fn region(headers: &HeaderMap, simulator: &Simulator) -> Result<Region, ServiceError> {
    let signature = authorization(headers)
        .filter(|authorization| Signature::claimed_by(authorization))
        .and_then(|authorization| Signature::parse(authorization).ok());
    if let Some(signature) = signature {
        return signature.region.parse().map_err(|_| {
            ServiceError::new(
                Exception::InvalidSignature,
                "Credential should be scoped to a valid region.",
            )
        });
    }
    match headers.get(SIM_REGION) {
        None => Ok(simulator.default_region().clone()),
        Some(value) => String::from_utf8_lossy(value.as_bytes())
            .parse()
            .map_err(|error| ServiceError::validation(format!("{SIM_REGION}: {error}"))),
    }
}

/// Checks who is calling.
pub(super) fn authenticate(
    credentials: &Credentials,
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Result<(), ServiceError> {
    if credentials.accepts_any() {
        return Ok(());
    }
    let authorization = authorization(&head.headers).unwrap_or_default();
    if let Some(token) = authorization.strip_prefix("Bearer ") {
        bearer(credentials, token.trim())
    } else if Signature::claimed_by(authorization) {
        signed(
            credentials,
            Signature::parse(authorization)?,
            head,
            body,
            now,
        )
    } else {
        Err(ServiceError::new(
            Exception::MissingAuthenticationToken,
            "Missing Authentication Token",
        ))
    }
}

fn bearer(credentials: &Credentials, token: &str) -> Result<(), ServiceError> {
    // All of them are compared, so that time tells nothing about which one it was.
    let known = credentials
        .bearer_tokens
        .iter()
        .fold(subtle::Choice::from(0), |known, expected| {
            known | expected.as_bytes().ct_eq(token.as_bytes())
        });
    if known.into() {
        Ok(())
    } else {
        Err(ServiceError::new(
            Exception::AccessDenied,
            "Authentication failed: Please make sure your API Key is valid.",
        ))
    }
}

fn signed(
    credentials: &Credentials,
    signature: Signature<'_>,
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Result<(), ServiceError> {
    let unrecognized = || {
        ServiceError::new(
            Exception::UnrecognizedClient,
            "The security token included in the request is invalid.",
        )
    };
    let key = credentials
        .access_keys
        .iter()
        .find(|key| key.access_key_id == signature.access_key)
        .ok_or_else(unrecognized)?;
    if key.expired {
        return Err(ServiceError::new(
            Exception::ExpiredToken,
            "The security token included in the request is expired",
        ));
    }
    if let Some(expected) = &key.session_token {
        let token = head.headers.get(SECURITY_TOKEN);
        let token = token.map_or(&b""[..], |token| token.as_bytes());
        if !bool::from(expected.as_bytes().ct_eq(token)) {
            return Err(unrecognized());
        }
    }
    signature.verify(&key.secret_access_key, head, body, now)
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()
}
