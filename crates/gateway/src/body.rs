//! Requests' bodies, read whole before anything is sent on.

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Duration, timeout};

use crate::{
    budget::{Budget, Full},
    wire_error::WireError,
};

/// Reads a body within its limits.
///
/// # Errors
///
/// A `ValidationException` for a body that is too large, too slow or cut short, a
/// `ServiceUnavailableException` where there is no room for it.
pub(crate) async fn read(
    body: Body,
    limit: usize,
    time: Duration,
    budget: &Budget,
) -> Result<Bytes, WireError> {
    timeout(time, read_whole(body, limit, budget))
        .await
        .unwrap_or_else(|_| {
            Err(WireError::validation(format!(
                "The request's body took longer than {time:?} to arrive."
            )))
        })
}

async fn read_whole(mut body: Body, limit: usize, budget: &Budget) -> Result<Bytes, WireError> {
    // A body that says that it is too large is not kept.
    if body.size_hint().lower() > limit as u64 {
        drain(&mut body, limit).await?;
        return Err(refusal(Full::TooLarge, limit));
    }
    let mut buffer = budget.buffer(limit);
    while let Some(chunk) = next_chunk(&mut body).await? {
        if let Err(full) = buffer.extend(&chunk) {
            drop(buffer);
            drain(&mut body, limit).await?;
            return Err(refusal(full, limit));
        }
    }
    Ok(buffer.freeze())
}

fn refusal(full: Full, limit: usize) -> WireError {
    match full {
        Full::TooLarge => WireError::validation(format!(
            "The request's body is too large: expected at most {limit} bytes."
        )),
        Full::NoRoom => {
            WireError::unavailable("Too many large requests at once, please try again later.")
        }
    }
}

/// Reads a body that is not wanted. A client that is still sending would meet a closed connection before
/// it reads the answer; up to twice the size of a body that is wanted, it may finish.
pub(crate) async fn discard(mut body: Body, limit: usize, time: Duration) {
    // However it ends, the answer is the same.
    let _ = timeout(time, drain(&mut body, limit)).await;
}

async fn drain(body: &mut Body, limit: usize) -> Result<(), WireError> {
    let mut left = limit.saturating_mul(2);
    while let Some(chunk) = next_chunk(body).await? {
        match left.checked_sub(chunk.len()) {
            Some(still) => left = still,
            None => break,
        }
    }
    Ok(())
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, WireError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
            Some(Err(_)) => {
                return Err(WireError::validation("The request's body was cut short."));
            }
        }
    }
}
