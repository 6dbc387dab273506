//! SigV4: whether a request was signed with the secret that belongs to its access key.
//!
//! It is signed again, over the same headers and at the same time, and the two signatures are compared.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, header::HOST, request::Parts};
use subtle::ConstantTimeEq;

use crate::{Exception, ServiceError};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "bedrock";
const X_AMZ_DATE: &str = "x-amz-date";

/// How far a signature's time may be from now.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
    Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The `Authorization` header of a signed request, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature<'a> {
    pub(super) access_key: &'a str,
    pub(super) region: &'a str,
    date: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Signature<'a> {
    /// Whether an `Authorization` header claims to be one, well formed or not.
    pub(super) fn claimed_by(authorization: &str) -> bool {
        authorization.starts_with(ALGORITHM)
    }

    /// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`
    pub(super) fn parse(authorization: &'a str) -> Result<Self, ServiceError> {
        let fields = authorization.strip_prefix(ALGORITHM).unwrap_or_default();
        let field = |name: &str| {
            fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .find_map(|(found, value)| (found == name).then_some(value))
                .ok_or_else(|| {
                    incomplete(format!("Authorization header requires '{name}' parameter."))
                })
        };
        let credential = field("Credential")?;
        let mut scope = credential.split('/');
        let mut part = || {
            scope.next().filter(|part| !part.is_empty()).ok_or_else(|| {
                incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
            })
        };
        let parsed = Self {
            access_key: part()?,
            date: part()?,
            region: part()?,
            service: part()?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        };
        if part()? != "aws4_request" || scope.next().is_some() {
            return Err(invalid(
                "Credential should be scoped with a valid terminator: 'aws4_request'.",
            ));
        }
        Ok(parsed)
    }

    /// Checks everything but the access key, whose secret is given.
    pub(super) fn verify(
        &self,
        secret: &str,
        head: &Parts,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), ServiceError> {
        if self.service != SERVICE {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        let signed_at = self.signed_at(&head.headers, now)?;
        for required in [HOST.as_str(), X_AMZ_DATE] {
            if !self.signed_headers.split(';').any(|name| name == required) {
                return Err(invalid(format!(
                    "'{required}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        let expected = self
            .sign_again(secret, head, body, signed_at)
            .ok_or_else(|| invalid(MISMATCH))?;
        if bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            Ok(())
        } else {
            Err(invalid(MISMATCH))
        }
    }

    /// The time the request says it was signed at, if that is about now.
    fn signed_at(&self, headers: &HeaderMap, now: SystemTime) -> Result<SystemTime, ServiceError> {
        let text = headers
            .get(X_AMZ_DATE)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."))?;
        let at = parse_time(text)
            .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
        if !text.starts_with(self.date) || self.date.len() != "YYYYMMDD".len() {
            return Err(invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
            ));
        }
        if at + TOLERANCE < now {
            return Err(invalid(format!(
                "Signature expired: {text} is now earlier than {} ({} - 5 min.)",
                format_time(now - TOLERANCE),
                format_time(now),
            )));
        }
        if at > now + TOLERANCE {
            return Err(invalid(format!(
                "Signature not yet current: {text} is still later than {} ({} + 5 min.)",
                format_time(now + TOLERANCE),
                format_time(now),
            )));
        }
        Ok(at)
    }

    /// The signature this request ought to have; `None` where it cannot have any.
    fn sign_again(
        &self,
        secret: &str,
        head: &Parts,
        body: &[u8],
        signed_at: SystemTime,
    ) -> Option<String> {
        let host = match head.headers.get(HOST) {
            Some(host) => host.to_str().ok()?,
            // HTTP/2 has it in the request's target.
            None => head.uri.authority()?.as_str(),
        };
        let mut headers = Vec::new();
        for name in self.signed_headers.split(';') {
            if name == HOST.as_str() {
                headers.push((name, host));
                continue;
            }
            let before = headers.len();
            for value in head.headers.get_all(name) {
                headers.push((name, value.to_str().ok()?));
            }
            if headers.len() == before {
                return None;
            }
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = SignableRequest::new(
            head.method.as_str(),
            format!("http://{host}{path}"),
            headers.into_iter(),
            SignableBody::Bytes(body),
        )
        .ok()?;

        let mut settings = SigningSettings::default();
        // Only what the client signed is handed over, so nothing is left to exclude.
        settings.excluded_headers = None;
        let identity = Credentials::new(self.access_key, secret, None, None, "bedrock-sim").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(signed_at)
            .settings(settings)
            .build()
            .ok()?
            .into();
        let (_, signature) = sign(request, &params).ok()?.into_parts();
        Some(signature)
    }
}

fn incomplete(message: impl Into<Cow<'static, str>>) -> ServiceError {
    ServiceError::new(Exception::IncompleteSignature, message)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ServiceError {
    ServiceError::new(Exception::InvalidSignature, message)
}

/// `20261122T024011Z`
fn parse_time(basic: &str) -> Option<SystemTime> {
    if basic.len() != 16 || !basic.is_ascii() {
        return None;
    }
    let (year, month, day) = (&basic[..4], &basic[4..6], &basic[6..8]);
    let (hour, minute, second) = (&basic[9..11], &basic[11..13], &basic[13..15]);
    let extended = format!(
        "{year}-{month}-{day}{}{hour}:{minute}:{second}{}",
        &basic[8..9],
        &basic[15..]
    );
    let time = DateTime::from_str(&extended, Format::DateTime).ok()?;
    SystemTime::try_from(time).ok()
}

fn format_time(time: SystemTime) -> String {
    DateTime::from_secs(DateTime::from(time).secs())
        .fmt(Format::DateTime)
        .map(|extended| extended.replace(['-', ':'], ""))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
