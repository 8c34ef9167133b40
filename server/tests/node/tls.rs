//! The binary with a certificate, which is replaced while it runs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socketio_core::websocket::{FrameDecoder, OpCode, Role, WsEvent, frame};

use super::http::PATIENCE;
use super::process::{Node, output};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate and its key, in a folder that goes with the test.
struct Pem {
    folder: PathBuf,
}

impl Pem {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("socketio-node-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        Self { folder }
    }

    fn path(&self, file: &str) -> String {
        let path = self.folder.join(file);
        path.to_str().expect("text").to_owned()
    }

    /// A new certificate, in place of the one that is there. Key first: the node may look in between.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        for (file, text) in [
            ("key.pem", made.signing_key.serialize_pem()),
            ("cert.pem", made.cert.pem()),
        ] {
            std::fs::write(self.path(file), text).expect("written");
        }
        made.cert.der().clone()
    }

    fn flags(&self) -> [String; 2] {
        [
            format!("--tls-cert={}", self.path("cert.pem")),
            format!("--tls-key={}", self.path("key.pem")),
        ]
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection to a server that must have this certificate.
fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The whole answer to one GET.
fn get(mut stream: Stream, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => {}
        // No `close_notify`: the answer has a length of its own.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => panic!("{error}"),
    }
    answer
}

struct WebSocket {
    stream: Stream,
    decoder: FrameDecoder,
}

impl WebSocket {
    /// Opens a session and joins the namespace `/`.
    fn open(mut stream: Stream) -> Self {
        let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        let decoder = FrameDecoder::new(Role::Client, 1 << 20);
        let mut socket = Self { stream, decoder };
        assert!(socket.receive().starts_with("0{"));
        socket.send("40");
        assert!(socket.receive().starts_with("40{"));
        socket
    }

    fn send(&mut self, text: &str) {
        let frame = frame(OpCode::Text, text.as_bytes(), Some([1, 2, 3, 4]));
        self.stream.write_all(&frame).expect("written");
    }

    fn receive(&mut self) -> String {
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a frame");
            let decoded = self.decoder.decode(&mut byte).expect("a frame");
            match decoded.event {
                None => {}
                Some(WsEvent::Text(text)) if text == "2" => self.send("3"),
                Some(WsEvent::Text(text)) => return text.to_string(),
                Some(other) => panic!("not text: {other:?}"),
            }
        }
    }

    fn echo(&mut self, n: u32) {
        self.send(&format!("42{n}[\"echo\",{n}]"));
        assert_eq!(self.receive(), format!("43{n}[{n}]"));
    }
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let pem = Pem::new("renewed");
    let first = pem.renew();
    let [certificate, key] = pem.flags();
    let node = Node::start(&[&certificate, &key]);
    let address = node.start["address"].as_str().expect("text");
    assert!(address.starts_with("https://"), "{address}");
    let address = node.address();

    let open = "/socket.io/?EIO=4&transport=polling";
    let answer = get(connect(address, &first).expect("trusted"), open);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"sid\":\""), "{answer}");
    let mut socket = WebSocket::open(connect(address, &first).expect("trusted"));
    socket.echo(1);

    let second = pem.renew();
    node.wait_for("certificate reloaded");
    let refused = connect(address, &first).expect_err("the old one is not in use");
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
    let answer = get(connect(address, &second).expect("trusted"), "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Connections that exist keep theirs.
    socket.echo(2);

    std::fs::write(pem.path("cert.pem"), "half a certif").expect("written");
    node.wait_for("certificate not reloaded");
    WebSocket::open(connect(address, &second).expect("trusted")).echo(3);
    socket.echo(4);
}

#[test]
fn without_tls_nobody_answers_a_plain_request() {
    let pem = Pem::new("plain");
    pem.renew();
    let [certificate, key] = pem.flags();
    let node = Node::start(&[&certificate, &key]);
    let answer = super::http::try_request(node.address(), "GET", "/healthz", &[], "");
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn files_that_cannot_be_used_keep_the_node_from_starting() {
    let pem = Pem::new("unusable");
    pem.renew();
    let [certificate, key] = pem.flags();
    let missing = format!("--tls-key={}", pem.path("nothing.pem"));
    let other = Pem::new("other");
    other.renew();
    let foreign = &other.flags()[1];
    for (key, said) in [
        (&missing, "no usable private key"),
        (foreign, "cannot be used together"),
    ] {
        let output = output(&["--port=0", &certificate, key]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{text}");
    }
    let output = output(&["--port=0", &key]);
    assert_eq!(output.status.code(), Some(64), "a key alone: {output:?}");
}
