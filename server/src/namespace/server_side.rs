//! Events between the servers of a cluster.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::cluster::Operation;
use socketio_core::payload::Payload;
use socketio_core::target::Target;
use tracing::Instrument as _;

use super::Namespace;
use crate::events::EmitError;
use crate::remote::{ServerReplies, ServerReply};
use crate::spans;

/// Events that Node's servers raise themselves.
const RESERVED: [&str; 3] = ["connect", "connection", "new_namespace"];

impl Namespace {
    /// Sends an event to the other servers of the cluster, not to their clients:
    /// [`on_server_event`](Self::on_server_event) receives it. This server does not get it.
    ///
    /// # Errors
    ///
    /// When the name is reserved, the data cannot be serialized, or the adapter refuses it.
    pub fn server_side_emit<T: Serialize>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<(), EmitError> {
        self.tell_servers(&server_event(event.as_ref(), &data)?)
    }

    /// As [`server_side_emit`](Self::server_side_emit), and waits until all other servers have
    /// answered: five seconds at most, or the [timeout](Self::timeout) of an operator's
    /// [own method](crate::BroadcastOperator::server_side_emit_with_ack).
    ///
    /// # Errors
    ///
    /// When the name is reserved, or the data cannot be serialized. Servers that do not answer are
    /// no error: they are named.
    pub async fn server_side_emit_with_ack<T: Serialize, R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        data: T,
    ) -> Result<ServerReplies<R>, EmitError> {
        let payload = server_event(event.as_ref(), &data)?;
        Ok(self.ask_servers(&payload, None).await)
    }

    pub(crate) fn tell_servers(&self, payload: &Payload) -> Result<(), EmitError> {
        match self.shared().cluster().filter(|c| !c.is_alone()) {
            Some(cluster) => {
                let span = spans::send("server_side_emit", self, &Target::all(), payload);
                let _inside = span.enter();
                let (payload, request) = (payload.clone(), None);
                let operation = Operation::ServerSideEmit { payload, request };
                let told = cluster.publish(self.name(), operation);
                spans::outcome(&told);
                told
            }
            None => Ok(()),
        }
    }

    pub(crate) async fn ask_servers<R: DeserializeOwned>(
        &self,
        payload: &Payload,
        timeout: Option<Duration>,
    ) -> ServerReplies<R> {
        let mut answers = ServerReplies::default();
        if let Some(cluster) = self.shared().cluster().filter(|c| !c.is_alone()) {
            let asked = cluster.server_side_emit(self.name(), payload, timeout);
            let span = spans::send("server_side_emit", self, &Target::all(), payload);
            let (replies, missing) = asked.instrument(span.clone()).await;
            spans::missing(&span, missing.len());
            let replies = replies.into_iter().map(|(node, payload)| ServerReply {
                node,
                data: payload.deserialize_args(false),
            });
            answers.replies.extend(replies);
            answers.missing = missing;
        }
        answers
    }
}

pub(crate) fn server_event<T: Serialize>(event: &str, data: &T) -> Result<Payload, EmitError> {
    if RESERVED.contains(&event) {
        return Err(EmitError::Reserved(event.to_owned()));
    }
    Ok(Payload::event(event, data)?)
}
