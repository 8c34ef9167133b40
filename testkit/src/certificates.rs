//! Certificates for brokers with TLS. Test support: what cannot be made panics.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::folder::Folder;

/// An authority of its own and a certificate of it for `localhost` and `127.0.0.1`, as PEM files.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate: what a client has to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The key of the server's certificate.
    pub key: PathBuf,
    _folder: Folder,
}

impl Certificates {
    /// Makes new ones.
    ///
    /// # Panics
    ///
    /// When they cannot be made or written.
    #[must_use]
    pub fn new() -> Self {
        let folder = Folder::new();
        let mut authority = CertificateParams::default();
        // Else it has the name of the certificates that it signs, which look self-signed then.
        let name = "an authority for tests";
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("the names are names");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Self {
            authority: folder.write("ca.pem", &issuer.pem()),
            certificate: folder.write("server.pem", &certificate.pem()),
            key: folder.write("server.key", &key.serialize_pem()),
            _folder: folder,
        }
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
