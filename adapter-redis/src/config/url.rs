//! URLs of single servers, Sentinels and clusters.

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::tls::Tls;
use super::{ConfigError, RedisConfig};

/// Where Redis is, with everything that is needed to connect.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) place: Place,
    /// Present if a server speaks TLS.
    tls: Option<Tls>,
    /// The version that the URL names; else the newer one, if the server knows it.
    protocol: Option<ProtocolVersion>,
}

/// What stands at the address.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// One server.
    Single(ConnectionInfo),
    /// Sentinels that know where the master of a service is. `master` has everything but the host.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        master: ConnectionInfo,
    },
    /// Some nodes of a cluster, from which the others are found.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        let url = config.url.trim();
        let wrong = |problem: String| ConfigError::Url {
            url: without_secrets(url),
            problem,
        };
        let (scheme, rest) = (url.split_once("://"))
            .ok_or_else(|| wrong("it has no scheme, such as redis://".to_owned()))?;
        let place = match scheme {
            "redis+sentinel" | "valkey+sentinel" => sentinel(config, "redis", rest),
            "rediss+sentinel" | "valkeys+sentinel" => sentinel(config, "rediss", rest),
            "redis-cluster" | "valkey-cluster" => cluster(config, "redis", rest),
            "rediss-cluster" | "valkeys-cluster" => cluster(config, "rediss", rest),
            _ => server(config, url).map(Place::Single),
        };
        let place = place.map_err(wrong)?;
        let tls = place.speaks_tls().then(|| Tls::new(config)).transpose()?;
        Ok(Self {
            place,
            tls,
            protocol: protocol(url),
        })
    }

    pub(crate) fn wants_resp2(&self) -> bool {
        self.protocol == Some(ProtocolVersion::RESP2)
    }

    /// Whether the older version may be tried where the newer one is not known.
    pub(crate) fn may_fall_back(&self) -> bool {
        self.protocol.is_none()
    }

    /// A client for one server. Connects to nothing yet.
    pub(crate) fn client(&self, info: &ConnectionInfo, resp3: bool) -> redis::RedisResult<Client> {
        let version = match (self.protocol, resp3) {
            (Some(version), _) => version,
            (None, true) => ProtocolVersion::RESP3,
            (None, false) => ProtocolVersion::RESP2,
        };
        let settings = info.redis_settings().clone().set_protocol(version);
        // Small messages must not wait for the acknowledgement of the ones before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.clone().set_redis_settings(settings);
        let info = info.set_tcp_settings(tcp);
        let address = match (&self.tls, info.addr()) {
            (Some(tls), ConnectionAddr::TcpTls { host, port, .. }) => tls.address(host, *port),
            (_, address) => address.clone(),
        };
        Client::open(info.set_addr(address))
    }
}

impl Place {
    fn speaks_tls(&self) -> bool {
        let server = match self {
            Self::Single(info) => Some(info),
            Self::Sentinel { master, .. } => Some(master),
            Self::Cluster(nodes) => nodes.first(),
        };
        let address = server.map(ConnectionInfo::addr);
        matches!(address, Some(ConnectionAddr::TcpTls { .. }))
    }
}

/// The same server settings for another host.
pub(crate) fn elsewhere(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

fn server(config: &RedisConfig, url: &str) -> Result<ConnectionInfo, String> {
    let info = url.into_connection_info();
    let info = info.map_err(|error| error.to_string())?;
    Ok(with_credentials(
        info,
        config.username.as_deref(),
        config.password.as_deref(),
    ))
}

/// What the URL does not say is taken from the options.
fn with_credentials(
    info: ConnectionInfo,
    username: Option<&str>,
    password: Option<&str>,
) -> ConnectionInfo {
    let mut settings = info.redis_settings().clone();
    if settings.username().is_none()
        && let Some(username) = username
    {
        settings = settings.set_username(username);
    }
    if settings.password().is_none()
        && let Some(password) = password
    {
        settings = settings.set_password(password);
    }
    info.set_redis_settings(settings)
}

/// `user:password@host:port,host:port` and what follows, each host as a URL of its own.
struct Hosts<'a> {
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Hosts<'a> {
    fn new(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        Self {
            credentials,
            hosts: hosts.split(',').map(str::trim).collect(),
            path: path.trim_matches('/'),
            query,
        }
    }
}

fn cluster(config: &RedisConfig, scheme: &str, rest: &str) -> Result<Place, String> {
    let parts = Hosts::new(rest);
    if !parts.path.is_empty() && parts.path != "0" {
        return Err("a cluster has only database 0".to_owned());
    }
    let at = if parts.credentials.is_empty() {
        ""
    } else {
        "@"
    };
    let nodes = parts.hosts.iter().map(|host| {
        let (credentials, query) = (parts.credentials, parts.query);
        server(
            config,
            &format!("{scheme}://{credentials}{at}{host}/?{query}"),
        )
    });
    nodes.collect::<Result<_, _>>().map(Place::Cluster)
}

fn sentinel(config: &RedisConfig, scheme: &str, rest: &str) -> Result<Place, String> {
    let parts = Hosts::new(rest);
    let (database, service) = match parts.path.split_once('/') {
        Some((database, service)) => (database, service),
        None if parts.path.parse::<i64>().is_err() => ("0", parts.path),
        None => (parts.path, ""),
    };
    if service.is_empty() {
        return Err("the name of the service is missing: …/DB/SERVICE".to_owned());
    }
    let sentinels = parts.hosts.iter().map(|host| {
        let host = match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => (*host).to_owned(),
            _ => format!("{host}:26379"),
        };
        let info = format!("{scheme}://{host}").into_connection_info();
        let info = info.map_err(|error| error.to_string())?;
        Ok(with_credentials(
            info,
            config.sentinel_username.as_deref(),
            config.sentinel_password.as_deref(),
        ))
    });
    let at = if parts.credentials.is_empty() {
        ""
    } else {
        "@"
    };
    let (credentials, query) = (parts.credentials, parts.query);
    let master = format!("{scheme}://{credentials}{at}master/{database}?{query}");
    Ok(Place::Sentinel {
        sentinels: sentinels.collect::<Result<_, String>>()?,
        service: service.to_owned(),
        master: server(config, &master)?,
    })
}

fn protocol(url: &str) -> Option<ProtocolVersion> {
    let (_, query) = url.split_once('?')?;
    let value = query
        .split(['&', '#'])
        .find_map(|pair| pair.strip_prefix("protocol="))?;
    match value {
        "2" | "resp2" => Some(ProtocolVersion::RESP2),
        _ => Some(ProtocolVersion::RESP3),
    }
}

/// The URL as it may be shown.
pub(super) fn without_secrets(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.split_once('?').map_or(url, |(url, _)| url).to_owned(),
    }
}
