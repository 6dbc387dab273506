//! Who clients are to the gateway, and who the gateway is to Bedrock.

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use bedrock_gateway::Signer;
use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};

use crate::support::{Answer, BODY, CONVERSE, Call, Fake, Running, config};

fn clients() -> String {
    ["a", "b"]
        .map(|name| {
            let hash = hex::encode(Sha256::digest(format!("key-{name}")));
            format!("[[client]]\nname = \"team-{name}\"\nkey_sha256 = \"{hash}\"\n")
        })
        .concat()
}

fn signed() -> Signer {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".into()), None, "test");
    Signer::sigv4(SharedCredentialsProvider::new(credentials))
}

fn scope(region: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=ANYBODY/20260101/{region}/bedrock/aws4_request, SignedHeaders=host, Signature=0"
    )
}

async fn send(gateway: &Running, authorization: Option<&str>) -> Answer {
    let mut request = Request::post(CONVERSE);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    gateway.send(request.body(Bytes::from(BODY)).unwrap()).await
}

async fn answered(gateway: &Running, fake: &mut Fake, authorization: Option<&str>) -> Call {
    let (_, call) = tokio::join!(send(gateway, authorization), async {
        let mut call = fake.call().await;
        call.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            .await;
        call
    });
    call
}

#[tokio::test]
async fn clients_with_a_key_are_served_and_others_are_not() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, &clients()).await;
    for key in ["Bearer key-a", "Bearer key-b"] {
        let call = answered(&gateway, &mut fake, Some(key)).await;
        assert_eq!(
            call.header("authorization"),
            "",
            "a key is for the gateway alone"
        );
    }
    let refused = send(&gateway, Some("Bearer key-c")).await;
    refused.error(403, "UnrecognizedClientException");
    for authorization in [None, Some(&*scope("us-east-1"))] {
        let message = send(&gateway, authorization)
            .await
            .error(403, "AccessDeniedException");
        assert!(message.contains("AWS_BEARER_TOKEN_BEDROCK"), "{message}");
    }
    assert!(!fake.was_called());
}

#[tokio::test]
async fn web_pages_may_not_use_a_gateway_without_clients() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let request = Request::post(CONVERSE).header("origin", "https://example.com");
    let answer = gateway.send(request.body(Bytes::from(BODY)).unwrap()).await;
    answer.error(403, "AccessDeniedException");
    assert!(!fake.was_called());
}

#[tokio::test]
async fn the_gateway_signs_anew_for_the_region_that_the_client_signed_for() {
    let mut fake = Fake::new().await;
    let gateway = Running::start(&config(&fake.url(), ""), signed()).await;
    let cases = [
        (None, "us-east-1"),
        (Some("Bearer whatever".to_owned()), "us-east-1"),
        (Some(scope("us-west-2")), "us-west-2"),
    ];
    for (authorization, region) in cases {
        let call = answered(&gateway, &mut fake, authorization.as_deref()).await;
        let signature = call.header("authorization");
        assert!(signature.contains("Credential=AKIDEXAMPLE/"), "{signature}");
        assert!(
            signature.contains(&format!("/{region}/bedrock/aws4_request")),
            "{signature}"
        );
        assert_eq!(call.header("x-amz-security-token"), "token");
        assert_eq!(call.headers.get_all("x-amz-date").iter().count(), 1);
    }
    let message = send(&gateway, Some(&scope("eu-west-1")))
        .await
        .error(400, "ValidationException");
    assert!(message.contains("us-east-1, us-west-2"), "{message}");
}

#[tokio::test]
async fn a_bearer_token_goes_out_where_that_is_the_gateways_identity() {
    let mut fake = Fake::new().await;
    let signer = Signer::bearer("bedrock-api-key").unwrap();
    let gateway = Running::start(&config(&fake.url(), ""), signer).await;
    let call = answered(&gateway, &mut fake, Some("Bearer the-clients-own")).await;
    assert_eq!(call.header("authorization"), "Bearer bedrock-api-key");
}

#[tokio::test]
async fn without_credentials_the_gateway_is_not_ready_and_says_so() {
    #[derive(Debug)]
    struct None;

    impl aws_credential_types::provider::ProvideCredentials for None {
        fn provide_credentials<'a>(
            &'a self,
        ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let error =
                aws_credential_types::provider::error::CredentialsError::provider_error("canary");
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
        }
    }

    let fake = Fake::new().await;
    let signer = Signer::sigv4(SharedCredentialsProvider::new(None));
    let gateway = Running::start(&config(&fake.url(), ""), signer).await;
    let request = Request::get("/readyz").body(Bytes::new()).unwrap();
    assert_eq!(gateway.send(request).await.status, 503);
    let answer = send(&gateway, Option::None).await;
    let asked = answer.header("x-tower-bedrock-attempts");
    assert_eq!(asked, "0", "Bedrock was not asked");
    let message = answer.error(503, "ServiceUnavailableException");
    assert!(message.contains("no AWS credentials") && !message.contains("canary"));
}
