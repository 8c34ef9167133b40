//! [`Connector`]: from a client's number to a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::NetError;
use super::stream::Stream;
use crate::plan::Plan;
use crate::target::Target;

/// Clients of one source address: fewer than the some 28,000 ports that a kernel gives out, since
/// those of earlier connections rest for a minute.
const CLIENTS_PER_SOURCE: u32 = 20_000;

/// A target that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Its name has no address.
    #[error("{target}: {cause}")]
    Lookup {
        /// The target.
        target: String,
        /// What the resolver says.
        cause: io::Error,
    },
    /// No authorities to trust.
    #[error("no certificates of authorities: {0}")]
    Authorities(String),
}

/// Opens connections: resolved addresses, the TLS configuration, and where to connect from.
#[derive(Debug)]
pub struct Connector {
    addresses: Vec<Vec<SocketAddr>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    sources: Vec<IpAddr>,
    per_source: bool,
}

impl Connector {
    /// Resolves all targets.
    ///
    /// # Errors
    ///
    /// When a name has no address, or the file of the authority cannot be read.
    pub async fn new(plan: &Plan, ca: Option<&Path>) -> Result<Self, ConnectorError> {
        let mut addresses = Vec::new();
        for target in &plan.targets {
            let lookup = |cause| ConnectorError::Lookup {
                target: target.to_string(),
                cause,
            };
            let found = lookup_host((target.host.as_str(), target.port))
                .await
                .map_err(lookup)?;
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(lookup(io::Error::other("the name has no address")));
            }
            addresses.push(found);
        }
        let tls = plan.targets.iter().any(|target| target.tls);
        let tls = if tls {
            Some(Arc::new(client_config(ca)?))
        } else {
            None
        };
        let local = addresses
            .iter()
            .flatten()
            .all(|address| matches!(address.ip(), IpAddr::V4(address) if address.is_loopback()));
        let needed = plan.timetable.most_clients().div_ceil(CLIENTS_PER_SOURCE);
        let per_source = plan.sources.is_empty();
        let sources = if !per_source {
            plan.sources.clone()
        } else if local && needed > 1 {
            // All of 127.0.0.0/8 is ours; a byte holds more sources than descriptors allow.
            (1..=needed.min(254))
                .map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last as u8)))
                .collect()
        } else {
            Vec::new()
        };
        Ok(Self {
            addresses,
            tls,
            sources,
            per_source,
        })
    }

    /// The target of a client: in turns.
    #[must_use]
    pub fn target<'a>(&self, plan: &'a Plan, client: u32) -> &'a Target {
        &plan.targets[client as usize % plan.targets.len()]
    }

    fn source(&self, client: u32) -> Option<IpAddr> {
        let turn = if self.per_source {
            client / CLIENTS_PER_SOURCE
        } else {
            client
        };
        let at = (turn as usize).checked_rem(self.sources.len())?;
        self.sources.get(at).copied()
    }

    /// Connects a client with its target.
    pub(super) async fn connect(&self, plan: &Plan, client: u32) -> Result<Stream, NetError> {
        let at = client as usize % plan.targets.len();
        let target = &plan.targets[at];
        let io = |error| NetError::Io("connect", error);
        let mut last = io::Error::other("no address");
        for address in &self.addresses[at] {
            match self.tcp(*address, self.source(client)).await {
                Ok(stream) => return self.secured(stream, target).await,
                Err(error) => last = error,
            }
        }
        Err(io(last))
    }

    async fn tcp(&self, address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            // Ports of earlier connections may still rest.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn secured(&self, stream: TcpStream, target: &Target) -> Result<Stream, NetError> {
        let Some(tls) = self.tls.as_ref().filter(|_| target.tls) else {
            return Ok(Stream::Tcp(stream));
        };
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| NetError::Io("TLS", io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await;
        Ok(Stream::Tls(Box::new(
            stream.map_err(|error| NetError::Io("TLS", error))?,
        )))
    }
}

fn client_config(ca: Option<&Path>) -> Result<rustls::ClientConfig, ConnectorError> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(file) = ca {
        let error = |cause: &dyn std::fmt::Display| {
            ConnectorError::Authorities(format!("{}: {cause}", file.display()))
        };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|cause| error(&cause))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|cause| error(&cause))?;
            roots.add(certificate).map_err(|cause| error(&cause))?;
        }
    } else {
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A few that cannot be read are no reason to stop.
            let _ = roots.add(certificate);
        }
    }
    if roots.is_empty() {
        return Err(ConnectorError::Authorities("none found".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|cause| ConnectorError::Authorities(cause.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
