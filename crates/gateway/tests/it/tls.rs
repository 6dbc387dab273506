//! Files that are no certificate and no key.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use bedrock_gateway::{
    Gateway, Signer,
    config::{Config, Flags},
};

use crate::support;

#[tokio::test]
async fn what_is_wrong_with_a_file_is_named_and_what_is_in_it_is_not() {
    let folder = std::env::temp_dir().join(format!("bedrock-gateway-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("canary.pem"), "canary").unwrap();
    let not_der = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
    fs::write(path("not-der.pem"), not_der).unwrap();
    // PKCS #8 of an Ed25519 key that is all ones.
    let key = "302e020100300506032b657004220420".to_owned() + &"01".repeat(32);
    let key = STANDARD.encode(hex::decode(key).unwrap());
    let kind = "PRIVATE KEY";
    let good = format!("-----BEGIN {kind}-----\n{key}\n-----END {kind}-----\n");
    fs::write(path("good.pem"), good).unwrap();
    for (certificate, key, expected) in [
        ("none.pem", "none.pem", "tls.certificate"),
        ("canary.pem", "none.pem", "tls.certificate"),
        ("not-der.pem", "none.pem", "tls.key"),
        ("not-der.pem", "canary.pem", "tls.key"),
        ("not-der.pem", "good.pem", "tls.certificate"),
    ] {
        let tls = format!(
            "[tls]\ncertificate = {:?}\nkey = {:?}",
            path(certificate),
            path(key)
        );
        let toml = support::config("http://127.0.0.1:1", &tls);
        let config = Config::parse(&toml, &Flags::default()).unwrap();
        let error = Gateway::bind_as(config, Signer::nobody())
            .await
            .unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("expected a PEM file"), "{message}");
        let without_names = message.replace("canary.pem", "");
        assert!(!without_names.contains("canary"), "{message}");
    }
    fs::remove_dir_all(folder).unwrap();
}
