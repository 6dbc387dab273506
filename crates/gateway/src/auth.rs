//! Who may use the gateway.

use std::fmt;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, ORIGIN},
};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tower_bedrock_core::Context;

use crate::{config::Client, wire_error::WireError};

/// The clients the gateway knows, each by the circumstances its calls are made in. None: whoever can reach the
/// gateway may use it.
pub(crate) struct Clients(Vec<(Context, [u8; 32])>);

impl Clients {
    pub(crate) fn new(clients: &[Client]) -> Self {
        let clients = clients.iter().map(|client| {
            let context = Context::new()
                .with_tenant(client.name.as_str())
                .with_priority(client.priority);
            (context, client.key_sha256)
        });
        Self(clients.collect())
    }

    /// The circumstances of the client that sent these headers: those of nobody in particular where nobody has
    /// to say who they are.
    ///
    /// # Errors
    ///
    /// An `AccessDeniedException` where there is no key, an `UnrecognizedClientException` where it is
    /// nobody's. Where nobody has to say who they are, web pages have no access: a browser lets any page
    /// send requests to a loopback address, and says so.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Context, WireError> {
        if self.0.is_empty() {
            return if headers.contains_key(ORIGIN) {
                Err(WireError::access_denied(
                    "Web pages may not use a gateway without clients.",
                ))
            } else {
                Ok(Context::new())
            };
        }
        let key = bearer_token(headers).ok_or_else(|| {
            WireError::access_denied(
                "This gateway expects a client key, sent as a bearer token. AWS SDKs send the one in \
                 AWS_BEARER_TOKEN_BEDROCK, to https:// endpoints.",
            )
        })?;
        self.find(key)
            .cloned()
            .ok_or_else(WireError::unrecognized_client)
    }

    /// Looks at every client, whichever matches, so that the time it takes tells nothing of the keys.
    fn find(&self, key: &[u8]) -> Option<&Context> {
        let hash = Sha256::digest(key);
        let mut found = u32::MAX;
        for (index, (_, known)) in (0..).zip(&self.0) {
            let same: Choice = hash.as_slice().ct_eq(known);
            found.conditional_assign(&index, same);
        }
        self.0
            .get(usize::try_from(found).ok()?)
            .map(|(context, _)| context)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(context, _)| context))
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
    use tower_bedrock_core::Priority;

    use super::*;

    fn clients(keys: &[(&str, &str)]) -> Clients {
        let clients: Vec<_> = keys
            .iter()
            .map(|(name, key)| Client {
                name: (*name).to_owned(),
                key_sha256: Sha256::digest(key).into(),
                priority: Priority::Batch,
                share: 1,
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
            let expected = expected.map(|name| {
                Context::new()
                    .with_tenant(name)
                    .with_priority(Priority::Batch)
            });
            let got = got.as_ref().map_err(WireError::exception);
            assert_eq!(
                got,
                expected.as_ref().map_err(|name| *name),
                "{authorization}"
            );
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
        assert_eq!(clients.identify(&headers), Ok(Context::new()));
        headers.insert(ORIGIN, HeaderValue::from_static("https://example.com"));
        let error = clients.identify(&headers).unwrap_err();
        assert_eq!(error.exception(), "AccessDeniedException");
    }
}
