//! The Region that a client signed its request for.

use http::{HeaderMap, header::AUTHORIZATION};
use tower_bedrock_core::Region;

use crate::{config::Regions, wire_error::WireError};

/// The Region of a request: the one in its SigV4 credential scope, else the default of those `served`.
///
/// The signature itself is not checked: it is made with whatever keys the client has, which need not be
/// AWS's, and the gateway signs anew.
///
/// # Errors
///
/// A `ValidationException` for a Region that is not served.
pub(crate) fn region<'s>(
    headers: &HeaderMap,
    served: &'s Regions,
) -> Result<&'s Region, WireError> {
    let Some(named) = named(headers) else {
        return Ok(served.default());
    };
    served.find(named).ok_or_else(|| {
        let named: String = named.chars().take(Region::MAX_LEN).collect();
        WireError::validation(format!(
            "Region {named:?} is not served here: expected one of {served}."
        ))
    })
}

/// `AWS4-HMAC-SHA256 Credential=KEY/20260101/us-west-2/bedrock/aws4_request, SignedHeaders=...`
fn named(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let parameters = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
    let scope = parameters
        .split(',')
        .find_map(|parameter| parameter.trim().strip_prefix("Credential="))?;
    // From the end: an access key may contain slashes.
    scope.rsplit('/').nth(2)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn region_of(authorization: Option<&'static str>) -> Result<String, WireError> {
        let [first, second] = ["us-east-1", "us-west-2"].map(|name| name.parse().unwrap());
        let served = Regions::new(first, vec![second]);
        let headers = authorization
            .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        region(&headers, &served).map(ToString::to_string)
    }

    #[test]
    fn the_credential_scope_names_it() {
        for (authorization, expected) in [
            (None, "us-east-1"),
            (Some("Bearer key"), "us-east-1"),
            (Some("AWS4-HMAC-SHA256 nonsense"), "us-east-1"),
            (
                Some(
                    "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-west-2/bedrock/aws4_request, SignedHeaders=host, Signature=0",
                ),
                "us-west-2",
            ),
            (
                Some(
                    "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/K/20260101/us-west-2/bedrock/aws4_request",
                ),
                "us-west-2",
            ),
        ] {
            assert_eq!(region_of(authorization).unwrap(), expected);
        }
    }

    #[test]
    fn one_that_is_not_served_is_refused() {
        let error = region_of(Some(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/bedrock/aws4_request",
        ))
        .unwrap_err();
        assert_eq!(error.exception(), "ValidationException");
        let body = format!("{error:?}");
        assert!(body.contains("us-east-1, us-west-2"), "{body}");
    }
}
