//! Every option of the engine and of the Socket.IO layer, with Node's names and defaults.

use std::time::Duration;

use bytestring::ByteString;
use socketio_core::engine::TransportKind;
use socketio_core::packet::ParserKind;

use crate::http::{
    AllowRequest, AllowedOrigins, ClientFiles, ConnectionErrorHook, Cookie, Cors, GenerateId,
    HeadersHook, HttpCompression,
};

/// Options of a [`Server`](crate::Server).
///
/// Names (in snake case) and defaults are those of Node's `socket.io` 4.8; options that bound memory or time and that
/// Node does not have say so.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// URL prefix that the server answers. Default `/socket.io`.
    pub path: String,
    /// Append a `/` to `path` before matching. Default `true`.
    pub add_trailing_slash: bool,
    /// Time between two pings (revision 4: sent by the server). Default 25 s.
    pub ping_interval: Duration,
    /// Added to the `ping_interval` that clients are told, so that they forgive pings which come this much late: a client
    /// gives up `ping_interval + ping_grace + ping_timeout` after the last ping. Revision 4 only. Default 0. Not in Node;
    /// python-socketio's second value of `ping_interval`.
    pub ping_grace: Duration,
    /// Time to wait for the pong before the connection counts as lost. Default 20 s.
    pub ping_timeout: Duration,
    /// Time that an upgrade from polling to WebSocket may take. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Largest POST body and largest WebSocket message, in bytes; announced to clients as `maxPayload`. Default 1 000 000.
    pub max_http_buffer_size: usize,
    /// Enabled transports. Default both.
    pub transports: Vec<TransportKind>,
    /// Announce and accept upgrades. Default `true`.
    pub allow_upgrades: bool,
    /// Accept clients of Engine.IO revision 3 (Socket.IO v1 and v2). Default `false`.
    pub allow_eio3: bool,
    /// Headers for pages of other origins. Default none, so that browsers keep them out.
    pub cors: Option<Cors>,
    /// Origins whose pages may open sessions, by polling or WebSocket. Default: no check, as in Node.
    pub allowed_origins: AllowedOrigins,
    /// Cookie with the session id, set by the polling handshake. Default none.
    pub cookie: Option<Cookie>,
    /// Compression of answers to polls. Default from 1024 bytes on.
    pub http_compression: Option<HttpCompression>,
    /// Decides about requests that open a session. Default: all may.
    pub allow_request: Option<AllowRequest>,
    /// Makes the ids of sessions. Default: 128 random bits. Clients of Engine.IO 3 have their socket ids from it.
    pub generate_id: Option<GenerateId>,
    /// A message that each session begins with, right behind its open packet. Default none.
    pub initial_packet: Option<ByteString>,
    /// Changes the headers of the answer that opens a session.
    pub initial_headers: Option<HeadersHook>,
    /// Changes the headers of all answers of sessions.
    pub headers: Option<HeadersHook>,
    /// Is told of refused requests.
    pub connection_error: Option<ConnectionErrorHook>,
    /// Client bundles to serve under `path`. Default none.
    pub client_files: Option<ClientFiles>,
    /// Time that the body of a POST may take; beyond it the session is closed. Default 60 s. Not in Node.
    pub body_read_timeout: Duration,
    /// Time after which a connection that joined no namespace is closed. Default 45 s.
    pub connect_timeout: Duration,
    /// Answer a CONNECT before the middlewares of the namespace are asked; a client that they refuse then gets a DISCONNECT
    /// in place of a `connect_error`. It is a member of the namespace only after they have decided. Default `false`. Not in
    /// Node; python-socketio's option.
    pub always_connect: bool,
    /// Packet parser, the same for all clients. Default JSON.
    pub parser: ParserKind,
    /// Remove a dynamic namespace when its last socket has left. Default `false`.
    pub cleanup_empty_child_namespaces: bool,
    /// Keep sockets out of rooms that have the id of another socket of this node for their name. Default `true`; in Node
    /// anybody may join them.
    ///
    /// What is sent to such a room is meant for that one client, and its id is no secret. An application that lets clients
    /// name the rooms they join would let them listen to each other. A join that is refused does nothing, and is counted
    /// among the drops as `private_room`. The ids of sockets of other nodes are not known here: give rooms that clients name
    /// a prefix of their own if that matters.
    pub private_id_rooms: bool,
    /// Most attachments that one binary packet may announce. Default 1 000 (Node: 10, which broke users).
    pub max_attachments: usize,
    /// Most bytes that wait for one client; beyond it the client is closed as too slow. Each message counts with 128
    /// bytes beside its own, for the memory around it. Default 16 MiB. Not in Node.
    pub max_outbox_bytes: usize,
    /// Most handlers of one connection that may be waiting at once; beyond it the connection is read no further until
    /// one has ended. Default 256. Not in Node.
    ///
    /// Answers of the client, to pings and to events, are not read either then. Each handler that ends gives the client
    /// another `ping_timeout`; but if none ends in this time, because all of them wait for answers that are not read,
    /// the connection is closed by `ping timeout`. So handlers that wait for their client should set a timeout.
    pub max_pending_handlers: usize,
    /// Most acknowledgements that one socket may owe to the server at once. Default 65 536. Not in Node.
    pub max_pending_acks: usize,
    /// Most namespaces that one connection may join. Default 256. Not in Node.
    pub max_namespaces_per_client: usize,
    /// Name of a member of the last argument of events, if that is an object, in which contexts of traces come from clients
    /// and go to them. Default none. Only with the feature `otel`. Not in Node; see [Traces](crate#traces).
    pub trace_payload_key: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: "/socket.io".to_owned(),
            add_trailing_slash: true,
            ping_interval: Duration::from_secs(25),
            ping_grace: Duration::ZERO,
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_http_buffer_size: 1_000_000,
            transports: vec![TransportKind::Polling, TransportKind::WebSocket],
            allow_upgrades: true,
            allow_eio3: false,
            cors: None,
            allowed_origins: AllowedOrigins::Any,
            cookie: None,
            http_compression: Some(HttpCompression::default()),
            allow_request: None,
            generate_id: None,
            initial_packet: None,
            initial_headers: None,
            headers: None,
            connection_error: None,
            client_files: None,
            body_read_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(45),
            always_connect: false,
            parser: ParserKind::Json,
            cleanup_empty_child_namespaces: false,
            private_id_rooms: true,
            max_attachments: 1_000,
            max_outbox_bytes: 16 * 1024 * 1024,
            max_pending_handlers: 256,
            max_pending_acks: 65_536,
            max_namespaces_per_client: 256,
            trace_payload_key: None,
        }
    }
}
