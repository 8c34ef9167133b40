//! The table of settings: name, type, default and help, each written once.
//!
//! One name serves everywhere: `ping_interval` in the file is `--ping-interval` as a flag and
//! `SOCKETIO_PING_INTERVAL` in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::values::{
    AdapterKind, Bytes, LogFormat, OtlpCompression, OtlpProtocol, Parser, PythonMode, Ratio,
    RedisMode, SameSite, Setting, Transport,
};

/// One setting, as the sources see it.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) help: &'static [&'static str],
    pub(crate) placeholder: &'static str,
    pub(crate) is_switch: bool,
    pub(crate) is_list: bool,
    pub(crate) set_text: fn(&mut Settings, &str) -> Result<(), String>,
    pub(crate) set_toml: fn(&mut Settings, &Value) -> Result<(), String>,
    pub(crate) get: fn(&Settings) -> Option<Value>,
}

impl Key {
    /// The flag without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("SOCKETIO_{}", self.name.to_uppercase())
    }
}

macro_rules! settings {
    ($(
        [$section:literal]
        $(
            $(#[doc = $help:literal])+
            $name:ident: $type:ty = $default:expr;
        )+
    )+) => {
        /// Every setting of the stock node, from wherever it came.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Settings {
            $($(
                $(#[doc = $help])+
                pub(crate) $name: $type,
            )+)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        /// All settings in the order in which they are shown.
        pub(crate) const KEYS: &[Key] = &[
            $($(
                Key {
                    name: stringify!($name),
                    section: $section,
                    help: &[$($help),+],
                    placeholder: <$type as Setting>::PLACEHOLDER,
                    is_switch: <$type as Setting>::IS_SWITCH,
                    is_list: <$type as Setting>::IS_LIST,
                    set_text: |settings, text| {
                        settings.$name = Setting::from_text(text)?;
                        Ok(())
                    },
                    set_toml: |settings, value| {
                        settings.$name = Setting::from_toml(value)?;
                        Ok(())
                    },
                    get: |settings| settings.$name.to_toml(),
                },
            )+)+
        ];
    };
}

settings! {
    ["Listening"]
    /// Address or host name to listen on
    host: String = "127.0.0.1".to_owned();
    /// Port to listen on; 0 takes a free one, which the start-up line names
    port: u16 = 3000;
    /// Listen on this unix socket instead of host and port
    unix_socket: Option<PathBuf> = None;
    /// Certificate chain in PEM; read again when the file changes
    tls_cert: Option<PathBuf> = None;
    /// Private key in PEM
    tls_key: Option<PathBuf> = None;
    /// Separate address for /healthz, /readyz and /metrics, which are then not served in public
    internal_address: Option<SocketAddr> = None;

    ["Protocol (names and defaults of the Node server)"]
    /// Path of the Socket.IO endpoint
    path: String = "/socket.io".to_owned();
    /// Append a slash to the path
    add_trailing_slash: bool = true;
    /// Transports that clients may use
    transports: Vec<Transport> = vec![Transport::Polling, Transport::WebSocket];
    /// Let clients move from polling to WebSocket
    allow_upgrades: bool = true;
    /// Accept clients of Socket.IO 1 and 2 (Engine.IO 3)
    allow_eio3: bool = false;
    /// Time between two pings
    ping_interval: Duration = Duration::from_secs(25);
    /// Added to the ping interval that clients are told, so that they forgive late pings
    ping_grace: Duration = Duration::ZERO;
    /// Time to wait for the answer to a ping
    ping_timeout: Duration = Duration::from_secs(20);
    /// Time that the upgrade to WebSocket may take
    upgrade_timeout: Duration = Duration::from_secs(10);
    /// Time after which a connection without a namespace is closed
    connect_timeout: Duration = Duration::from_secs(45);
    /// Largest message, announced to clients as maxPayload
    max_http_buffer_size: Bytes = Bytes(1_000_000);
    /// Packet format of all clients
    parser: Parser = Parser::Json;
    /// Compress polling responses for clients that accept it
    http_compression: bool = true;
    /// Smallest polling response that is compressed
    http_compression_threshold: Bytes = Bytes(1024);
    /// Remove a dynamic namespace when its last socket has left
    cleanup_empty_child_namespaces: bool = false;

    ["Browsers"]
    /// Origins that may read responses (CORS), such as https://example.com; * for all; none: CORS off
    cors_origin: Vec<String> = Vec::new();
    /// Let browsers send cookies across origins
    cors_credentials: bool = false;
    /// Methods announced to browsers
    cors_methods: Vec<String> = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"].map(str::to_owned).to_vec();
    /// Request headers that browsers may send; none: whatever they ask for
    cors_allowed_headers: Vec<String> = Vec::new();
    /// Response headers that scripts may read
    cors_exposed_headers: Vec<String> = Vec::new();
    /// How long browsers may keep the answer to a preflight
    cors_max_age: Option<Duration> = None;
    /// Origins that may open connections at all, over WebSocket too; same-origin; none: no check
    allowed_origins: Vec<String> = Vec::new();
    /// Name of a cookie that holds the session id, for balancers; none: no cookie
    cookie: Option<String> = None;
    /// Path of the cookie
    cookie_path: String = "/".to_owned();
    /// Send the cookie over TLS only
    cookie_secure: bool = false;
    /// SameSite attribute of the cookie
    cookie_same_site: SameSite = SameSite::Lax;
    /// Serve the official client under the path
    serve_client: bool = true;
    /// The dist folder of socket.io-client; none: node_modules is searched, from here upwards
    client_dir: Option<PathBuf> = None;

    ["Limits"]
    /// Keep sockets out of rooms that have the id of another socket for their name
    private_id_rooms: bool = true;
    /// Bytes that may wait for one client before it is closed as too slow
    max_outbox_bytes: Bytes = Bytes(16 << 20);
    /// Attachments of one packet
    max_attachments: usize = 1_000;
    /// Handlers of one connection that may wait at once before it is read no further
    max_pending_handlers: usize = 256;
    /// Acknowledgements that one socket may owe
    max_pending_acks: usize = 65_536;
    /// Namespaces that one connection may join
    max_namespaces_per_client: usize = 256;
    /// Connections at once, beyond which new ones wait; none: as many as there are file descriptors
    max_connections: Option<usize> = None;
    /// Head of one HTTP request
    max_header_bytes: Bytes = Bytes(32 << 10);
    /// Time to send the head of a request; also how long an idle HTTP connection is kept
    header_read_timeout: Duration = Duration::from_secs(30);
    /// Time to send the body of a polling request
    body_read_timeout: Duration = Duration::from_secs(60);

    ["Cluster"]
    /// What connects this node with others; memory: nothing, it is on its own
    adapter: AdapterKind = AdapterKind::Memory;
    /// Redis, as redis://user:password@host:port, rediss://, redis+unix://, redis+sentinel:// or redis-cluster://
    redis_url: String = "redis://127.0.0.1:6379".to_owned();
    /// Which wire of Node's Redis adapters is spoken
    redis_mode: RedisMode = RedisMode::Pubsub;
    /// What the names of all channels begin with (key or channelPrefix in Node)
    redis_prefix: String = "socket.io".to_owned();
    /// PEM file of the authority that signed the certificate of Redis; none: those of the system
    redis_ca: Option<PathBuf> = None;
    /// RabbitMQ, as amqp://user:password@host:port/vhost or amqps://
    amqp_url: String = "amqp://127.0.0.1:5672".to_owned();
    /// The exchange that all nodes share
    amqp_exchange: String = "socketio-cluster".to_owned();
    /// Name of this node's durable queue, which no other node may have: no broadcast is lost when the broker restarts; none: off
    amqp_reliable: Option<String> = None;
    /// PEM file of the authority that signed the certificate of RabbitMQ; none: those of the system
    amqp_ca: Option<PathBuf> = None;
    /// Messages of python-socketio: off, listen (their emitters reach our clients) or member (their servers and ours are one cluster)
    python: PythonMode = PythonMode::Off;
    /// Channels (Redis) or exchanges (RabbitMQ) of python-socketio; the first one is written to
    python_channels: Vec<String> = vec!["socketio".to_owned()];
    /// How often a node that has nothing else to say tells the others that it is alive
    heartbeat_interval: Duration = Duration::from_secs(5);
    /// Time without a sign of life after which another node counts as gone
    heartbeat_timeout: Duration = Duration::from_secs(10);
    /// Answer /readyz with 503 while the broker cannot be reached; otherwise the node goes on with its own clients
    ready_needs_adapter: bool = false;

    ["Traces (the standard OTEL_ variables are understood too)"]
    /// OpenTelemetry collector that spans are sent to, such as http://127.0.0.1:4318; none: no traces
    otlp_endpoint: Option<String> = None;
    /// How it is spoken to: http/protobuf (usual port 4318) or grpc (4317)
    otlp_protocol: OtlpProtocol = OtlpProtocol::HttpProtobuf;
    /// Headers of each request, as name=value with the value percent-encoded
    otlp_headers: Vec<String> = Vec::new();
    /// PEM file of the authority that signed the collector's certificate; none: those of the system
    otlp_ca: Option<PathBuf> = None;
    /// Compression of requests
    otlp_compression: OtlpCompression = OtlpCompression::None;
    /// Time that one batch of spans may take, all tries together, before it is dropped
    otlp_timeout: Duration = Duration::from_secs(10);
    /// Part of all traces that is sent, from 0 to 1
    trace_sample_ratio: Ratio = Ratio(1.0);
    /// Let the sender of a traceparent decide whether its trace is sent; false: the ratio alone decides
    trace_parent_based: bool = true;
    /// The attribute service.name
    trace_service_name: Option<String> = None;
    /// Further attributes of this process, as name=value with the value percent-encoded
    trace_resource: Vec<String> = Vec::new();
    /// Member of the last argument of events, if that is an object, in which trace contexts come from clients and go to them
    trace_payload_key: Option<String> = None;
    /// Spans that may wait to be sent; more are dropped and counted
    trace_queue: usize = 2_048;
    /// Spans of one request
    trace_batch: usize = 512;
    /// Time that a span may wait for others to be sent with it
    trace_delay: Duration = Duration::from_secs(5);
    /// Time after the drain for the last spans to be sent
    trace_flush_timeout: Duration = Duration::from_secs(5);

    ["Process"]
    /// Handlers and page of the open demo: everybody may join and publish
    demo: bool = true;
    /// Threads that run connections; none: one per CPU
    worker_threads: Option<usize> = None;
    /// Time to go on as before after /readyz said no, so that balancers notice
    drain_delay: Duration = Duration::ZERO;
    /// Time over which connections are closed when the node stops, so that clients do not all come back at once
    drain_window: Duration = Duration::from_secs(5);
    /// Time after which the node exits even if connections are left, counted from the signal
    drain_grace: Duration = Duration::from_secs(10);
    /// Format of log lines
    log_format: LogFormat = LogFormat::Pretty;
    /// What is logged, such as debug or info,socketio_server::engine=trace
    log: String = "info".to_owned();
}
