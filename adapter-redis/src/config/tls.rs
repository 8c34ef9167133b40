//! Certificates.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::{Client, ClientTlsConfig, ConnectionAddr, TlsCertificates};
use rustls::RootCertStore;
use rustls_native_certs::load_native_certs;

use super::{ConfigError, RedisConfig};

/// What is trusted and shown, read once for all connections.
///
/// By itself the crate `redis` looks through all that the system trusts with each connection, even
/// if it is told whom to trust: it takes long, and fails where something of it is not in order. With
/// its feature `tls-rustls-webpki-roots` it has a list of its own instead, which is not used here.
#[derive(Debug, Clone)]
pub(super) struct Tls(ConnectionAddr);

impl Tls {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        // The client of Redis takes what the process has chosen, or what rustls was built with, and
        // panics if that is more than one, as with `lapin` in the same program. A choice of the
        // program stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client_tls = match (&config.tls_certificate, &config.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientTlsConfig {
                client_cert: read(certificate)?,
                client_key: read(key)?,
            }),
            _ => return Err(ConfigError::TlsPair),
        };
        let authorities = match &config.tls_authority {
            Some(path) => read(path)?,
            None => of_the_system()?,
        };
        let certificates = TlsCertificates {
            client_tls,
            root_cert: Some(authorities),
        };
        let client = Client::build_with_tls("rediss://host", certificates);
        let client = client.map_err(ConfigError::Tls)?;
        Ok(Self(client.get_connection_info().addr().clone()))
    }

    /// The address of a server that is spoken to with these certificates.
    pub(super) fn address(&self, server: &str, number: u16) -> ConnectionAddr {
        let mut address = self.0.clone();
        if let ConnectionAddr::TcpTls { host, port, .. } = &mut address {
            server.clone_into(host);
            *port = number;
        }
        address
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::File {
        path: path.clone(),
        source,
    })
}

/// The authorities that the system trusts, as PEM.
fn of_the_system() -> Result<Vec<u8>, ConfigError> {
    let found = load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "some authorities of the system cannot be read");
    }
    let mut pem = String::new();
    for certificate in found.certs {
        // Old ones that are not understood stand in no way of the others.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            let text = STANDARD.encode(&certificate);
            pem += "-----BEGIN CERTIFICATE-----\n";
            pem += &text;
            pem += "\n-----END CERTIFICATE-----\n";
        }
    }
    if pem.is_empty() {
        return Err(ConfigError::NoAuthority);
    }
    Ok(pem.into())
}
