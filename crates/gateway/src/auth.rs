//! Who may use the gateway.

use std::fmt;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, ORIGIN},
};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tower_bedrock_core::Tenant;

use crate::{config::Client, wire_error::WireError};

/// The clients the gateway knows. None: whoever can reach it may use it.
pub(crate) struct Clients(Vec<(Tenant, [u8; 32])>);

impl Clients {
    pub(crate) fn new(clients: &[Client]) -> Self {
        let clients = clients
            .iter()
            .map(|client| (Tenant::from(client.name.as_str()), client.key_sha256));
        Self(clients.collect())
    }

    /// The client that sent these headers, or `None` where nobody has to say who they are.
    ///
    /// # Errors
    ///
    /// An `AccessDeniedException` where there is no key, an `UnrecognizedClientException` where it is
    /// nobody's. Where nobody has to say who they are, web pages have no access: a browser lets any page
    /// send requests to a loopback address, and says so.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Option<&Tenant>, WireError> {
        if self.0.is_empty() {
            return if headers.contains_key(ORIGIN) {
                Err(WireError::access_denied(
                    "Web pages may not use a gateway without clients.",
                ))
            } else {
                Ok(None)
            };
        }
        let key = bearer_token(headers).ok_or_else(|| {
            WireError::access_denied(
                "This gateway expects a client key, sent as a bearer token. AWS SDKs send the one in \
                 AWS_BEARER_TOKEN_BEDROCK, to https:// endpoints.",
            )
        })?;
        let client = self.find(key).ok_or_else(WireError::unrecognized_client)?;
        Ok(Some(client))
    }

    /// Looks at every client, whichever matches, so that the time it takes tells nothing of the keys.
    fn find(&self, key: &[u8]) -> Option<&Tenant> {
        let hash = Sha256::digest(key);
        let mut found = u32::MAX;
        for (index, (_, known)) in (0..).zip(&self.0) {
            let same: Choice = hash.as_slice().ct_eq(known);
            found.conditional_assign(&index, same);
        }
        self.0
            .get(usize::try_from(found).ok()?)
            .map(|(name, _)| name)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn clients(keys: &[(&str, &str)]) -> Clients {
        let clients: Vec<_> = keys
            .iter()
            .map(|(name, key)| Client {
                name: (*name).to_owned(),
                key_sha256: Sha256::digest(key).into(),
            })
            .collect();
        Clients::new(&clients)
    }

    fn sent(authorization: Option<&'static str>) -> HeaderMap {
        authorization
            .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        let clients = clients(&[("a", "key-a"), ("b", "key-b"), ("c", "key-c")]);
        for (authorization, expected) in [
            ("Bearer key-a", Ok("a")),
            ("bearer  key-b ", Ok("b")),
            ("BEARER key-c", Ok("c")),
            ("Bearer key-d", Err("UnrecognizedClientException")),
            ("Bearer key-", Err("UnrecognizedClientException")),
            ("Bearer ", Err("AccessDeniedException")),
            ("Basic key-a", Err("AccessDeniedException")),
            (
                "AWS4-HMAC-SHA256 Credential=x",
                Err("AccessDeniedException"),
            ),
        ] {
            let headers = sent(Some(authorization));
            let got = clients.identify(&headers);
            let got = got.map(|name| name.unwrap().as_str());
            let got = got.as_ref().map_err(WireError::exception);
            assert_eq!(got.copied(), expected, "{authorization}");
        }
        assert_eq!(
            clients.identify(&sent(None)).unwrap_err().exception(),
            "AccessDeniedException"
        );
    }

    #[test]
    fn without_clients_nobody_is_asked_but_web_pages_are_kept_out() {
        let clients = clients(&[]);
        let mut headers = sent(None);
        assert_eq!(clients.identify(&headers), Ok(None));
        headers.insert(ORIGIN, HeaderValue::from_static("https://example.com"));
        let error = clients.identify(&headers).unwrap_err();
        assert_eq!(error.exception(), "AccessDeniedException");
    }
}
