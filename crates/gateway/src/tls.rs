//! TLS for clients: SDKs send a bearer token to an `https://` endpoint and to no other.

use std::{fmt::Display, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        Error, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::{InvalidConfig, Tls};

/// What connections are accepted with. Clones share it, and what it is replaced with.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor(Arc<ArcSwap<ServerConfig>>);

impl Acceptor {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Has connections from now on accepted with another certificate.
    pub(crate) fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    pub(crate) fn current(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

/// Reads the certificate and its key.
///
/// # Errors
///
/// [`InvalidConfig`] names the file and what is wrong with it, never what is in it.
pub(crate) fn load(tls: &Tls) -> Result<Arc<ServerConfig>, InvalidConfig> {
    const CERTIFICATE: &str = "tls.certificate";
    const CHAIN: &str = "a PEM file with the certificate, and after it those that vouch for it";
    const KEY: &str = "tls.key";
    const KEY_FILE: &str = "a PEM file with the certificate's private key";
    const KEY_OF_IT: &str = "the private key of the first certificate in tls.certificate";

    let certificates = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(CERTIFICATE, &tls.certificate, CHAIN, error))?;
    if certificates.is_empty() {
        return Err(invalid(CERTIFICATE, &tls.certificate, CHAIN, "it has none"));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| invalid(KEY, &tls.key, KEY_FILE, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| match error {
            Error::InvalidCertificate(_) => invalid(CERTIFICATE, &tls.certificate, CHAIN, error),
            Error::InconsistentKeys(_) => invalid(KEY, &tls.key, KEY_OF_IT, error),
            _ => invalid(KEY, &tls.key, KEY_FILE, error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn invalid(key: &str, file: &Path, expected: &str, error: impl Display) -> InvalidConfig {
    InvalidConfig::value(key, file, &format!("{expected} ({error})"))
}
