//! A network between a node and its server, which can be cut without either side being told.

use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Hands on what comes, unless it is told otherwise.
pub(crate) struct Relay {
    port: u16,
    state: watch::Sender<State>,
    /// Connections before this number are forgotten.
    known: watch::Sender<u64>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections stay open, or can even be made, but nothing moves on them.
    Cut,
    /// Answers of the server pass, what it pushes by itself does not.
    Deaf,
}

impl Relay {
    /// In front of the server on a port.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let state = watch::Sender::new(State::Open);
        let known = watch::Sender::new(0);
        let watched = (state.clone(), known.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, mut known) = (watched.0.subscribe(), watched.1.subscribe());
                let own = *known.borrow_and_update();
                // For as long as the runtime of the test.
                tokio::spawn(async move {
                    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await;
                    let Ok(server) = server else { return };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    let moving = async {
                        tokio::join!(
                            hand_on(from_client, to_server, state.clone()),
                            hand_on(from_server, to_client, state),
                        )
                    };
                    let forgotten = async {
                        // Neither side is told: both ends stay open.
                        let _ = known.wait_for(|&known| known > own).await;
                    };
                    let mut moving = std::pin::pin!(moving);
                    tokio::select! {
                        // First: what comes after it must not move.
                        biased;
                        () = forgotten => {}
                        _ = &mut moving => return,
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        Self {
            port,
            state,
            known,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub(crate) fn deafen(&self) {
        self.state.send_replace(State::Deaf);
    }

    /// Nothing moves any more on the connections of now, as when a firewall has forgotten them. New
    /// ones work.
    pub(crate) fn forget(&self) {
        self.known.send_modify(|known| *known += 1);
    }

    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn hand_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..count];
        let moves = state.wait_for(|&state| state != State::Cut).await;
        let is_deaf = moves.is_ok_and(|state| *state == State::Deaf);
        if is_deaf && is_pushed(bytes) {
            continue;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Whether it is a message to subscribers, in one of the versions of the protocol.
fn is_pushed(bytes: &[u8]) -> bool {
    let is_message = |kind: &[u8]| bytes.windows(kind.len()).any(|part| part == kind);
    bytes.starts_with(b">") || is_message(b"$7\r\nmessage\r\n") || is_message(b"pmessage\r\n")
}
