use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bedrock_sim::Config;
use bytes::Bytes;
use http::{Method, Request, header::AUTHORIZATION};
use http_body_util::Full;

use crate::support::{Answer, CLAUDE, Server, encode, hello};

const CONFIG: &str = r#"
    [credentials]
    bearer_tokens = ["first", "second"]

    [[credentials.access_keys]]
    access_key_id = "AKIAPERMANENT"
    secret_access_key = "right"

    [[credentials.access_keys]]
    access_key_id = "ASIATEMPORARY"
    secret_access_key = "right"
    session_token = "session"

    [[credentials.access_keys]]
    access_key_id = "AKIAEXPIRED"
    secret_access_key = "right"
    expired = true
"#;

const MISMATCH: &str = "The request signature we calculated does not match";
const INVALID_TOKEN: &str = "The security token included in the request is invalid.";

async fn server() -> Server {
    Server::with(Config::from_toml(CONFIG).unwrap()).await
}

/// How a request is signed.
struct Signer {
    key: &'static str,
    secret: &'static str,
    session: Option<&'static str>,
    region: &'static str,
    service: &'static str,
    at: SystemTime,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            key: "AKIAPERMANENT",
            secret: "right",
            session: None,
            region: "us-east-1",
            service: "bedrock",
            at: SystemTime::now(),
        }
    }
}

impl Signer {
    fn sign(&self, server: &Server, model: &str) -> Request<Full<Bytes>> {
        let body = hello().to_string();
        let path = format!("/model/{}/converse", encode(model));
        let mut request = server.request(Method::POST, &path, &body);
        let headers = [("content-type", "application/json"), ("x-more", " a  b ")];
        for (name, value) in headers {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let session = self.session.map(ToOwned::to_owned);
        let identity = Credentials::new(self.key, self.secret, session, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signable = SignableRequest::new(
            "POST",
            request.uri().to_string(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    async fn call(&self, server: &Server) -> Answer {
        server.exchange(self.sign(server, CLAUDE)).await
    }
}

#[tokio::test]
async fn a_right_signature_is_accepted_and_names_the_region() {
    let server = server().await;
    let signer = Signer {
        region: "us-west-2",
        ..Signer::default()
    };
    let mut request = signer.sign(&server, CLAUDE);
    // What is signed counts for more than what is not.
    request
        .headers_mut()
        .insert("x-sim-region", "eu-west-1".parse().unwrap());
    let answer = server.exchange(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.simulator.ledger().entries[0].region, "us-west-2");
}

#[tokio::test]
async fn an_arns_slashes_and_colons_do_not_break_the_signature() {
    let server = server().await;
    let arn = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}");
    let request = Signer::default().sign(&server, &arn);
    assert_eq!(server.exchange(request).await.status, 200);
}

#[tokio::test]
async fn http2_requests_are_signed_by_their_authority() {
    let mut server = server().await;
    server.speak_http2();
    assert_eq!(Signer::default().call(&server).await.status, 200);
}

#[tokio::test]
async fn wrong_keys_are_refused() {
    let server = server().await;
    let wrong = Signer {
        secret: "wrong",
        ..Signer::default()
    };
    let answer = wrong.call(&server).await;
    answer.is_exception(403, "InvalidSignatureException", MISMATCH);
    let unknown = Signer {
        key: "AKIAUNKNOWN",
        ..Signer::default()
    };
    let answer = unknown.call(&server).await;
    answer.is_exception(403, "UnrecognizedClientException", INVALID_TOKEN);
    let expired = Signer {
        key: "AKIAEXPIRED",
        ..Signer::default()
    };
    let answer = expired.call(&server).await;
    answer.is_exception(403, "ExpiredTokenException", "is expired");
    assert!(
        server
            .simulator
            .ledger()
            .entries
            .iter()
            .all(|entry| entry.reserved == 0)
    );
}

#[tokio::test]
async fn a_temporary_key_needs_its_session_token() {
    let server = server().await;
    for (session, status) in [(Some("session"), 200), (Some("another"), 403), (None, 403)] {
        let signer = Signer {
            key: "ASIATEMPORARY",
            session,
            ..Signer::default()
        };
        assert_eq!(signer.call(&server).await.status, status, "{session:?}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes() {
    let server = server().await;
    let now = SystemTime::now();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (at, refused) in [
        (now - minutes(4), None),
        (now + minutes(4), None),
        (now - minutes(6), Some("Signature expired: ")),
        (now + minutes(6), Some("Signature not yet current: ")),
        (SystemTime::UNIX_EPOCH, Some("Signature expired: ")),
    ] {
        let signer = Signer {
            at,
            ..Signer::default()
        };
        let answer = signer.call(&server).await;
        match refused {
            None => assert_eq!(answer.status, 200),
            Some(message) => answer.is_exception(403, "InvalidSignatureException", message),
        }
    }
}

#[tokio::test]
async fn a_signature_is_for_a_region() {
    let server = server().await;
    for region in ["Mars", "mars-north-1"] {
        let signer = Signer {
            region,
            ..Signer::default()
        };
        let answer = signer.call(&server).await;
        answer.is_exception(403, "InvalidSignatureException", "scoped to a valid region");
    }
}

#[tokio::test]
async fn a_signature_is_for_one_service() {
    let server = server().await;
    let signer = Signer {
        service: "s3",
        ..Signer::default()
    };
    let answer = signer.call(&server).await;
    answer.is_exception(
        403,
        "InvalidSignatureException",
        "scoped to correct service",
    );
}

#[tokio::test]
async fn what_was_signed_cannot_be_changed() {
    let server = server().await;
    let changes: [fn(&mut Request<Full<Bytes>>); 6] = [
        |request| *request.body_mut() = Full::from(hello().to_string() + " "),
        |request| *request.uri_mut() = format!("{}?a=b", request.uri()).parse().unwrap(),
        |request| {
            let elsewhere = request
                .uri()
                .to_string()
                .replace("converse", "converse-stream");
            *request.uri_mut() = elsewhere.parse().unwrap();
        },
        |request| drop(request.headers_mut().insert("x-more", "c".parse().unwrap())),
        |request| drop(request.headers_mut().remove("x-more")),
        |request| {
            let text = request.headers()[AUTHORIZATION].to_str().unwrap();
            let shorter = text[..text.len() - 1].parse().unwrap();
            request.headers_mut().insert(AUTHORIZATION, shorter);
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut request = Signer::default().sign(&server, CLAUDE);
        change(&mut request);
        let answer = server.exchange(request).await;
        assert_eq!(answer.status, 403, "change {index}");
        answer.is_exception(403, "InvalidSignatureException", MISMATCH);
    }
}

#[tokio::test]
async fn what_is_not_whole_is_refused() {
    let server = server().await;
    let scope = "AKIAPERMANENT/20200101/us-east-1/bedrock";
    for (authorization, status, name) in [
        (String::new(), 403, "MissingAuthenticationTokenException"),
        (
            "Basic YTpi".into(),
            403,
            "MissingAuthenticationTokenException",
        ),
        (
            "AWS4-HMAC-SHA256".into(),
            400,
            "IncompleteSignatureException",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a".into(),
            400,
            "IncompleteSignatureException",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host"),
            400,
            "IncompleteSignatureException",
        ),
        (
            format!(
                "AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host, Signature=00"
            ),
            400,
            "IncompleteSignatureException",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential={scope}/aws5, SignedHeaders=host, Signature=00"),
            403,
            "InvalidSignatureException",
        ),
    ] {
        let path = format!("/model/{CLAUDE}/converse");
        let mut request = server.request(Method::POST, &path, &hello().to_string());
        request
            .headers_mut()
            .insert(AUTHORIZATION, authorization.parse().unwrap());
        server
            .exchange(request)
            .await
            .is_exception(status, name, "");
    }
    // Dates that are none.
    for date in [
        "yesterday",
        "20200230T000000Z",
        "99999999T999999Z",
        "2020010\u{e9}T00000Z",
    ] {
        let mut request = Signer::default().sign(&server, CLAUDE);
        let date = http::HeaderValue::from_bytes(date.as_bytes()).unwrap();
        request.headers_mut().insert("x-amz-date", date);
        let answer = server.exchange(request).await;
        answer.is_exception(400, "IncompleteSignatureException", "");
    }
}

#[tokio::test]
async fn bearer_tokens_are_checked() {
    let server = server().await;
    for (token, status) in [("first", 200), ("second", 200), ("third", 403), ("", 403)] {
        let path = format!("/model/{CLAUDE}/converse");
        let mut request = server.request(Method::POST, &path, &hello().to_string());
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let answer = server.exchange(request).await;
        assert_eq!(answer.status, status, "{token:?}");
        if status == 403 && !token.is_empty() {
            answer.is_exception(403, "AccessDeniedException", "Authentication failed");
        }
    }
}

#[tokio::test]
async fn without_credentials_anything_goes() {
    let server = Server::start().await;
    for authorization in ["Bearer anything", "AWS4-HMAC-SHA256 nonsense", "Basic YTpi"] {
        let path = format!("/model/{CLAUDE}/converse");
        let mut request = server.request(Method::POST, &path, &hello().to_string());
        request
            .headers_mut()
            .insert(AUTHORIZATION, authorization.parse().unwrap());
        assert_eq!(server.exchange(request).await.status, 200);
    }
    let signer = Signer {
        secret: "wrong",
        region: "eu-central-1",
        ..Signer::default()
    };
    let request = signer.sign(&server, &CLAUDE.replace("us.", "eu."));
    assert_eq!(server.exchange(request).await.status, 200);
    assert_eq!(
        server.simulator.ledger().entries.last().unwrap().region,
        "eu-central-1"
    );
}
