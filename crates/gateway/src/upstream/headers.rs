//! Which headers cross the gateway.

use http::{
    HeaderMap, HeaderName,
    header::{
        ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
};

/// Those of the client's headers that Bedrock is to see. A list of what may pass, not of what may not: a
/// client's keys and cookies are none of Bedrock's business.
pub(crate) fn forwarded_request(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::new();
    for (name, value) in headers {
        // What is not text cannot be signed.
        if crosses_to_bedrock(name) && value.to_str().is_ok() {
            forwarded.append(name, value.clone());
        }
    }
    forwarded
}

fn crosses_to_bedrock(name: &HeaderName) -> bool {
    // `x-amz-` is how the client signed; `x-amzn-` is what it asks of Bedrock.
    const ASKED: &str = "x-amzn-";
    const TRACE: [&str; 2] = ["traceparent", "tracestate"];
    [ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT].contains(name)
        || name.as_str().starts_with(ASKED)
        || TRACE.contains(&name.as_str())
}

/// Takes away what concerns one connection only. The server writes the length anew.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named_by_connection: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named_by_connection {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        CONTENT_LENGTH,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn credentials_and_cookies_stay_behind() {
        let sent = headers(&[
            ("authorization", "Bearer secret"),
            ("cookie", "secret"),
            ("x-api-key", "secret"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-security-token", "secret"),
            ("host", "gateway.internal"),
            ("accept-encoding", "gzip"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("x-amzn-bedrock-trace", "ENABLED"),
            ("traceparent", "00-1-2-01"),
        ]);
        let mut names: Vec<_> = forwarded_request(&sent)
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        let expected = [
            "accept",
            "content-type",
            "traceparent",
            "x-amzn-bedrock-trace",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_concerns_one_connection_is_removed() {
        let mut answer = headers(&[
            ("connection", "x-private, keep-alive"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-type", "application/json"),
        ]);
        remove_hop_by_hop(&mut answer);
        assert_eq!(answer, headers(&[("content-type", "application/json")]));
    }
}
