//! placeholder
use crate::engine::Conn;
use socketio_core::engine::{CloseReason, Message};
use std::sync::Arc;
use std::task::Context;
#[derive(Debug)]
pub(crate) struct ClientCommand;
pub(crate) struct Client {
    conn: Arc<Conn>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub(crate) struct ProtocolError;
impl Client {
    pub(crate) fn new(conn: &Arc<Conn>) -> Self {
        Self { conn: conn.clone() }
    }
    pub(crate) fn handle_message(&mut self, m: Message) -> Result<(), ProtocolError> {
        let _ = (m, &self.conn);
        Ok(())
    }
    pub(crate) fn handle_command(&mut self, _: ClientCommand) {}
    pub(crate) fn poll(&mut self, _: &mut Context<'_>) {}
    pub(crate) fn wants_input(&self) -> bool {
        true
    }
    pub(crate) fn has_work(&self) -> bool {
        false
    }
    pub(crate) fn has_namespace(&self) -> bool {
        true
    }
    pub(crate) fn handle_close(&mut self, _: CloseReason) {}
}
