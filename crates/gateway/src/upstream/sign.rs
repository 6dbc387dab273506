//! Who the gateway is to Bedrock.

use std::{borrow::Cow, fmt, time::SystemTime};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower_bedrock_core::{BoxError, FaultKind, Region};

use super::{UpstreamError, credentials::CachedCredentials};

/// SigV4's name for Bedrock.
const SERVICE: &str = "bedrock";
/// Headers that proxies may change on the way, besides those that the library knows of.
const UNSIGNED: [&str; 2] = ["traceparent", "tracestate"];

/// How requests are signed.
#[derive(Debug)]
pub struct Signer(Kind);

enum Kind {
    Nobody,
    Bearer(HeaderValue),
    SigV4(CachedCredentials),
}

/// A bearer token with characters that no header may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bearer token contains characters that a header may not have")]
pub struct InvalidToken;

impl Signer {
    /// Requests go out unsigned.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(Kind::Nobody)
    }

    /// Requests carry a Bedrock API key.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] where the key cannot be sent.
    pub fn bearer(token: &str) -> Result<Self, InvalidToken> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self(Kind::Bearer(value)))
    }

    /// Requests are signed with SigV4. What the provider gives is kept until shortly before it expires.
    #[must_use]
    pub fn sigv4(provider: SharedCredentialsProvider) -> Self {
        Self(Kind::SigV4(CachedCredentials::new(provider)))
    }

    /// Whether requests could be signed now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn check(&self) -> Result<(), BoxError> {
        match &self.0 {
            Kind::Nobody | Kind::Bearer(_) => Ok(()),
            Kind::SigV4(credentials) => Ok(credentials.get().await.map(drop)?),
        }
    }

    /// Signs a request for a Region. All its headers are signed that may be.
    pub(super) async fn sign(
        &self,
        request: &mut Request<Bytes>,
        region: &Region,
    ) -> Result<(), UpstreamError> {
        match &self.0 {
            Kind::Nobody => Ok(()),
            Kind::Bearer(token) => {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
                Ok(())
            }
            Kind::SigV4(credentials) => {
                let credentials = credentials.get().await.map_err(|error| {
                    let what = "the gateway has no AWS credentials";
                    UpstreamError::no_answer(what, error, FaultKind::Unavailable)
                })?;
                let now = SystemTime::now();
                sign_v4(request, region, credentials, now).map_err(|error| {
                    let what = "the request could not be signed";
                    UpstreamError::no_answer(what, error, FaultKind::Unknown)
                })
            }
        }
    }
}

fn sign_v4(
    request: &mut Request<Bytes>,
    region: &Region,
    credentials: Credentials,
    now: SystemTime,
) -> Result<(), BoxError> {
    let identity = credentials.into();
    // The path is encoded once on the wire and once more in what is signed, as for every service but S3: the default.
    let mut settings = SigningSettings::default();
    let excluded = settings.excluded_headers.get_or_insert_default();
    excluded.extend(UNSIGNED.map(Cow::Borrowed));
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(request.body()),
    )?;
    let (instructions, _signature) = sign(signable, &params)?.into_parts();
    instructions.apply_to_request_http1x(request);
    // The library says so of a session's token alone.
    if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
        authorization.set_sensitive(true);
    }
    Ok(())
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Bearer(_) => "Bearer",
            Self::SigV4(_) => "SigV4",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<Bytes> {
        Request::post("http://localhost:9090/model/us.a.b%3A0/converse")
            .header("content-type", "application/json")
            // Changed on the way, these break no signature.
            .header("traceparent", "00-1-2-01")
            .header("x-amzn-trace-id", "Root=1-2-3")
            .body(Bytes::from_static(b"{}"))
            .unwrap()
    }

    /// The expected signature is boto3's for the same request, keys and time: its path goes into the
    /// signature encoded twice.
    #[test]
    fn signs_as_other_sdks_do() {
        let mut request = request();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600);
        sign_v4(
            &mut request,
            &"us-west-2".parse().unwrap(),
            credentials,
            now,
        )
        .unwrap();
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-west-2/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature=966b7393aaf74641b9d97105d3c5a5d0c52f50474e779119a756f853e94c8b4e"
        );
    }

    #[tokio::test]
    async fn what_a_request_is_signed_with_is_never_shown() {
        let token = Some("canary".to_owned());
        let credentials = Credentials::new("canary", "canary", token, None, "test");
        let signer = Signer::sigv4(SharedCredentialsProvider::new(credentials));
        let mut request = request();
        let region = "us-west-2".parse().unwrap();
        signer.sign(&mut request, &region).await.unwrap();
        assert_eq!(request.headers()["x-amz-security-token"], "canary");
        assert!(!format!("{signer:?} {request:?}").contains("canary"));
    }

    #[tokio::test]
    async fn a_bearer_token_is_sent_and_never_shown() {
        let signer = Signer::bearer("canary").unwrap();
        let mut request = request();
        let region = "us-west-2".parse().unwrap();
        signer.sign(&mut request, &region).await.unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer canary");
        assert!(!format!("{signer:?} {request:?}").contains("canary"));
        assert!(Signer::bearer("a\nb").is_err());
    }
}
