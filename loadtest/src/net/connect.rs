//! [`Connector`]: from a client's number to a connection.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::{Caller, NetError, tls};
use crate::plan::Plan;
use crate::target::Target;

/// Connections that a process makes without thinking of source addresses. Beyond it, those that were
/// closed may hold most of the some 28,000 ports that a kernel gives out, for a minute each.
const FEW: u64 = 4_000;
/// Addresses of this machine to connect from: all of 127.0.0.0/8 is ours.
const LOCAL_SOURCES: u8 = 250;
/// Sources that are tried for one connection.
const TRIES: usize = 8;

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
    #[error("{0}")]
    Authorities(String),
}

/// Opens connections: resolved addresses, the TLS configuration, and where to connect from.
#[derive(Debug)]
pub struct Connector {
    addresses: Vec<Vec<SocketAddr>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    sources: Vec<IpAddr>,
    /// Whether the sources are ours to take or leave.
    optional: bool,
    /// Connections so far; they take turns.
    made: Cell<u64>,
}

impl Connector {
    /// Resolves all targets.
    ///
    /// # Errors
    ///
    /// When a name has no address, or there is no authority to trust.
    pub async fn new(plan: &Plan) -> Result<Self, ConnectorError> {
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
        let tls = match plan.has_tls() {
            true => Some(tls::client_config(&plan.trust)?),
            false => None,
        };
        let local = addresses
            .iter()
            .flatten()
            .all(|address| matches!(address.ip(), IpAddr::V4(address) if address.is_loopback()));
        let optional = plan.sources.is_empty();
        let sources = if !optional {
            plan.sources.clone()
        } else if local && cfg!(target_os = "linux") {
            let last = 1..=LOCAL_SOURCES;
            last.map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
                .collect()
        } else {
            Vec::new()
        };
        let many = u64::from(plan.timetable.most_clients() / plan.processes) > FEW;
        Ok(Self {
            addresses,
            tls,
            sources,
            optional,
            made: Cell::new(if many { FEW } else { 0 }),
        })
    }

    /// Where the next connection comes from; none: the kernel chooses.
    fn sources(&self) -> Vec<Option<IpAddr>> {
        let made = self.made.get();
        self.made.set(made.wrapping_add(1));
        let all = self.sources.len();
        let turn = |at: usize| self.sources[(made as usize).wrapping_add(at) % all];
        let turns = (0..all.min(TRIES)).map(|at| Some(turn(at)));
        // Also of another process's connections there may be too many.
        let free = self.optional && (made < FEW || all == 0);
        let first = free.then_some(None);
        first.into_iter().chain(turns).collect()
    }

    /// Connects a client with its target.
    pub(super) async fn connect(&self, plan: &Plan, caller: Caller) -> Result<Stream, NetError> {
        let mut last = NetError::Io("connect", io::Error::other("no address"));
        for address in &self.addresses[caller.target] {
            for source in self.sources() {
                match tcp(*address, source).await {
                    Ok(stream) => {
                        return self.secured(stream, &plan.targets[caller.target]).await;
                    }
                    // Another source may have a port.
                    Err(error) if is_own_limit(&error) => last = NetError::Own(error),
                    Err(error) => {
                        last = NetError::Io("connect", error);
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// Connects with a server that is no target of clients.
    pub(super) async fn connect_to(&self, target: &Target) -> Result<Stream, NetError> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| NetError::Io("connect", error))?;
        self.secured(stream, target).await
    }

    async fn secured(&self, stream: TcpStream, target: &Target) -> Result<Stream, NetError> {
        let Some(tls) = self.tls.as_ref().filter(|_| target.tls) else {
            return Ok(Stream::Tcp(stream));
        };
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| NetError::Io("TLS", io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let stream = stream.await.map_err(|error| NetError::Io("TLS", error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

async fn tcp(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        // Without SO_REUSEADDR, so that no port is taken that still rests.
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// No port is free at the source, or no descriptor.
fn is_own_limit(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ports = matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    );
    let files = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    ports
        || error
            .raw_os_error()
            .is_some_and(|code| files.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_connections_take_turns_with_their_sources() {
        let settings = "scenario = \"idle\"\ntarget = [\"http://127.0.0.1:1\"]\nclients = 10";
        let mut settings: crate::settings::Settings = toml::from_str(settings).expect("valid");
        let plan = Plan::new(&settings).expect("valid");
        let connector = Connector::new(&plan).await.expect("local");
        // A few come from where the kernel likes, unless it has no port there.
        assert_eq!(connector.sources()[0], None);
        assert!(connector.sources()[1].is_some());
        connector.made.set(FEW);
        let turns: std::collections::BTreeSet<_> =
            (0..1000).map(|_| connector.sources()[0]).collect();
        assert_eq!(turns.len(), usize::from(LOCAL_SOURCES));
        assert!(connector.sources().iter().all(Option::is_some));
        // Those that are named are all there are.
        settings.source = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let plan = Plan::new(&settings).expect("valid");
        let connector = Connector::new(&plan).await.expect("local");
        assert_eq!(connector.sources(), [Some(settings.source[0])]);
    }

    #[test]
    fn our_own_limits_are_known() {
        let full = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(is_own_limit(&full));
        assert!(is_own_limit(&io::ErrorKind::AddrNotAvailable.into()));
        assert!(!is_own_limit(&io::ErrorKind::ConnectionRefused.into()));
    }
}
