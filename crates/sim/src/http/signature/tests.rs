use http::Request;
use proptest::prelude::*;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = br#"{"messages":[]}"#;

/// Signed by botocore, so that what signs and what checks are not the same code.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
    Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amzn-bedrock-trace, \
    Signature=3656ffb1b977f7f5c0a8992f320cbd2bcdae4762fb3e588a0b406ab3f0399a1a";

fn head() -> Parts {
    Request::post("/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse")
        .header("host", "127.0.0.1:9090")
        .header("content-type", "application/json")
        .header("x-amzn-bedrock-trace", " on   off ")
        .header("x-amz-date", "20261122T030000Z")
        .body(())
        .unwrap()
        .into_parts()
        .0
}

fn now() -> SystemTime {
    parse_time("20261122T030459Z").unwrap()
}

#[test]
fn a_signature_of_botocores_is_right() {
    let signature = Signature::parse(AUTHORIZATION).unwrap();
    assert_eq!(signature.access_key, "AKIDEXAMPLE");
    assert_eq!(signature.region, "us-east-1");
    signature.verify(SECRET, &head(), BODY, now()).unwrap();
}

#[test]
fn anything_changed_makes_it_wrong() {
    let signature = Signature::parse(AUTHORIZATION).unwrap();
    let is_wrong = |secret: &str, head: &Parts, body: &[u8]| {
        let error = signature.verify(secret, head, body, now()).unwrap_err();
        assert_eq!(error.exception(), Exception::InvalidSignature);
        assert_eq!(error.message(), MISMATCH);
    };
    is_wrong("another", &head(), BODY);
    is_wrong(SECRET, &head(), b"{}");
    let mut path = head();
    path.uri = "/model/us.amazon.nova-lite-v1%3A0/converse"
        .parse()
        .unwrap();
    is_wrong(SECRET, &path, BODY);
    let mut host = head();
    host.headers.insert(HOST, "127.0.0.1:9091".parse().unwrap());
    is_wrong(SECRET, &host, BODY);
    let mut missing = head();
    missing.headers.remove("x-amzn-bedrock-trace");
    is_wrong(SECRET, &missing, BODY);
    // One bit of the signature.
    let flipped = AUTHORIZATION.replace("Signature=3", "Signature=2");
    let error = Signature::parse(&flipped)
        .unwrap()
        .verify(SECRET, &head(), BODY, now())
        .unwrap_err();
    assert_eq!(error.message(), MISMATCH);
}

#[test]
fn times_are_written_as_they_are_read() {
    for time in ["19700101T000000Z", "20240229T235959Z", "99991231T235959Z"] {
        assert_eq!(format_time(parse_time(time).unwrap()), time);
    }
}

proptest! {
    #[test]
    fn nothing_panics(
        authorization in "(AWS4-HMAC-SHA256 )?(Credential=[a-z0-9/]{0,40},)?(SignedHeaders=[a-z;-]{0,20},)?\\PC{0,40}",
        date in "[0-9TZ]{0,16}|[0-9]{8}T[0-9]{6}Z|\\PC{0,16}",
    ) {
        let mut head = head();
        if let Ok(date) = date.parse() {
            head.headers.insert(X_AMZ_DATE, date);
        }
        if let Ok(signature) = Signature::parse(&authorization) {
            prop_assert!(signature.verify(SECRET, &head, BODY, now()).is_err());
        }
        let signature = Signature { date: "20261122", ..Signature::parse(AUTHORIZATION).unwrap() };
        let _ = signature.verify(SECRET, &head, BODY, now());
    }
}
