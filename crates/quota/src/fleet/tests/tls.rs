//! A server that is spoken to over TLS.

use std::fs;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::time::{Duration, timeout};

use super::{
    redis_server::{RedisServer, free_port},
    renewal,
};
use crate::fleet::{RedisStore, Store, StoreError};

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap()
}

#[tokio::test]
async fn a_server_is_spoken_to_over_tls_if_somebody_vouches_for_it() {
    if !RedisServer::has_tls() {
        eprintln!("skipped: this redis-server is built without TLS");
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let CertifiedKey { cert, signing_key } = certificate();
    fs::write(path("cert.pem"), cert.pem()).unwrap();
    fs::write(path("key.pem"), signing_key.serialize_pem()).unwrap();
    // The port that is found free is for TLS; plain connections have another.
    let server = |port: u16| {
        let files = [path("cert.pem"), path("key.pem")];
        let tls = ["--port", "0", "--tls-port", &port.to_string()].map(str::to_owned);
        let [cert, key] = files.map(|file| file.clone());
        let more = ["--tls-cert-file", &cert, "--tls-key-file", &key].map(str::to_owned);
        let rest = ["--tls-auth-clients", "no", "--requirepass", "hunter2"].map(str::to_owned);
        let arguments = [tls, more, rest].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        RedisServer::on(port, &arguments)
    };
    let server = (0..10).find_map(|_| server(free_port()));
    let server = server.expect("a redis-server with TLS starts");
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let renew = async |store: RedisStore| {
        let renewal = renewal(1);
        let answer = timeout(Duration::from_secs(60), store.renew("test:{k}", &renewal));
        answer.await.expect("an answer within a minute")
    };

    let store = RedisStore::new(&url).unwrap().with_password("hunter2");
    let vouched = store.clone().with_root_certificates(cert.pem().as_bytes());
    assert_eq!(renew(vouched.unwrap()).await.unwrap().awards[1].share, 55);

    let stranger = certificate().cert.pem();
    for store in [
        store.clone(),
        store.with_root_certificates(stranger.as_bytes()).unwrap(),
    ] {
        let answer = renew(store).await;
        assert!(matches!(answer, Err(StoreError::Failed(_))), "{answer:?}");
    }
}

#[test]
fn certificates_are_for_tls_and_are_pem() {
    let pem = certificate().cert.pem();
    let plain = RedisStore::new("redis://127.0.0.1").unwrap();
    let error = plain.with_root_certificates(pem.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("rediss://"), "{error}");
    let anybody = RedisStore::new("rediss://127.0.0.1/#insecure").unwrap();
    let error = anybody.with_root_certificates(pem.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("#insecure"), "{error}");
    for text in ["", "canary", &pem[..pem.len() / 2]] {
        let store = RedisStore::cluster(["rediss://127.0.0.1"]).unwrap();
        let error = store.with_root_certificates(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("PEM"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
