//! TLS by rustls: PEM files, reloaded without a restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate file cannot be read or holds none.
    #[error("no usable certificate in {}", .0.display())]
    Certificate(PathBuf, #[source] pem::Error),
    /// The key file cannot be read or holds none.
    #[error("no usable private key in {}", .0.display())]
    Key(PathBuf, #[source] pem::Error),
    /// The two do not form a server's identity, for example because they do not belong together.
    #[error("certificate and private key cannot be used together")]
    Identity(#[source] rustls::Error),
}

/// Certificate and key of a [`Listener`](super::Listener).
///
/// Cheap to clone; all clones share the current certificate. A listener checks the files every few seconds and takes a
/// new certificate when they changed; [`Tls::reload`] does it at once. Connections that exist keep theirs.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<ServerConfig>,
    /// State of the two files when they were last read, so that a broken pair is reported once and not at each check.
    seen: Mutex<[Option<Stamp>; 2]>,
}

/// What of a file's metadata changes when it is replaced.
type Stamp = (Option<SystemTime>, u64);

impl Tls {
    /// Reads a certificate chain and a private key (PKCS#8, PKCS#1 or SEC1) from PEM files.
    ///
    /// Clients are offered HTTP/2 and HTTP/1.1 by ALPN.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the two do not belong together.
    pub fn from_pem_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let seen = Mutex::new([stamp(&certificate), stamp(&key)]);
        let current = ArcSwap::new(load(&certificate, &key)?);
        Ok(Self {
            inner: Arc::new(Inner {
                certificate,
                key,
                current,
                seen,
            }),
        })
    }

    /// Reads the files again; new connections get what they hold now.
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem_files`]; then the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let inner = &self.inner;
        *inner.seen.lock() = [stamp(&inner.certificate), stamp(&inner.key)];
        inner.current.store(load(&inner.certificate, &inner.key)?);
        Ok(())
    }

    /// Reads the files again if they changed since the last time; `true` if so. Does file I/O.
    ///
    /// # Errors
    ///
    /// As [`Tls::reload`]. The same broken files are reported once.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let inner = &self.inner;
        if *inner.seen.lock() == [stamp(&inner.certificate), stamp(&inner.key)] {
            return Ok(false);
        }
        self.reload()?;
        Ok(true)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.inner.current.load_full())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.inner.certificate)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| {
            if chain.is_empty() {
                Err(pem::Error::NoItemsFound)
            } else {
                Ok(chain)
            }
        })
        .map_err(|error| TlsError::Certificate(certificate.to_owned(), error))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key(key.to_owned(), error))?;
    // The provider is named because an application may link a second one; then rustls cannot choose by itself.
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok(), metadata.len()))
}
