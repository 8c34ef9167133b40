//! Whose certificates are taken.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::ConnectorError;
use crate::plan::Trust;

/// The configuration of all TLS connections.
///
/// # Errors
///
/// When there are no authorities to trust.
pub(super) fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, ConnectorError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|cause| ConnectorError::Authorities(cause.to_string()))?;
    let builder = match trust {
        Trust::Everybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Everybody(provider))),
        Trust::File(file) => builder.with_root_certificates(of_file(file)?),
        Trust::System => builder.with_root_certificates(of_system()?),
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn of_file(file: &Path) -> Result<RootCertStore, ConnectorError> {
    let error = |cause: &dyn std::fmt::Display| {
        ConnectorError::Authorities(format!("--ca {}: {cause}", file.display()))
    };
    // The library's error for a missing file does not say that it is missing.
    let pem = std::fs::read(file).map_err(|cause| error(&cause))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|cause| error(&cause))?;
        roots.add(certificate).map_err(|cause| error(&cause))?;
    }
    if roots.is_empty() {
        return Err(error(&"no certificate is in it"));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A few that cannot be read are no reason to stop.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(ConnectorError::Authorities(
            "this system has no certificates of authorities: give some with --ca, or trust everybody \
             with --insecure"
                .to_owned(),
        ));
    }
    Ok(roots)
}

/// Takes any certificate. Signatures are still checked, or TLS would not be measured as it is used.
#[derive(Debug)]
struct Everybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
