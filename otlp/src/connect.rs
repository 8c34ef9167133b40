//! Connections to the collector, over TLS where its URL says so, for gRPC and HTTP alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{OtlpConfig, OtlpError, Protocol};

pub(crate) type Connector = HttpsConnector<HttpConnector>;

/// What connects; reads the certificates of authorities.
pub(crate) fn connector(config: &OtlpConfig, over_tls: bool) -> Result<Connector, OtlpError> {
    let mut tcp = HttpConnector::new();
    // TLS is put around it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.timeout));
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let roots = match &config.ca {
        Some(path) => from_file(path)?,
        None if over_tls => of_the_system(),
        None => RootCertStore::empty(),
    };
    // Said outright: a process that has two providers cannot choose one by itself.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OtlpError::option("otlp_endpoint", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    Ok(match config.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(tcp),
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(tcp),
    })
}

fn from_file(path: &Path) -> Result<RootCertStore, OtlpError> {
    let wrong = |problem: String| OtlpError::Authority {
        path: path.to_owned(),
        problem,
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path);
    for certificate in certificates.map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("contains no certificate".to_owned()));
    }
    Ok(roots)
}

/// What of it cannot be read is left out; a missing authority shows when connecting.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
