//! Which connection it was, so that its remains can be ended.

use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use crate::connect::Server;

/// A server that answers at all answers this at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection as the server knows it.
#[derive(Debug)]
pub(super) struct Identity {
    server: String,
    /// Its number and address there, if the server tells and the address is one of a kind.
    client: Option<(u64, String)>,
}

impl Identity {
    pub(super) async fn of(server: &Server, connection: &mut MultiplexedConnection) -> Self {
        let mut command = redis::cmd("CLIENT");
        let told = command.arg("INFO").query_async::<String>(connection);
        let told = timeout(PATIENCE, told).await;
        let client = match told {
            Ok(Ok(told)) => parse(&told),
            // The user may not be allowed to ask, or the server is too old.
            Ok(Err(_)) | Err(_) => None,
        };
        Self {
            server: server.name.clone(),
            client,
        }
    }

    /// Ends this connection, which broke for us, also for the server.
    ///
    /// A server that was stopped for a while may still have messages of it unread. If it read them
    /// later than what is sent on the `next` connection, they would arrive out of order.
    pub(super) async fn end(self, next: &Self, connection: &mut MultiplexedConnection) {
        let Some((id, address)) = self.client else {
            return;
        };
        if self.server != next.server || next.client.is_none() {
            return;
        }
        // Both must fit: after a restart the number may be somebody else's.
        let mut command = redis::cmd("CLIENT");
        command
            .arg("KILL")
            .arg("ID")
            .arg(id)
            .arg("ADDR")
            .arg(address);
        let ended = timeout(PATIENCE, command.query_async::<i64>(connection)).await;
        let ended: RedisResult<i64> = ended.unwrap_or(Ok(0));
        tracing::debug!(?ended, "ended what was left of the connection before");
    }
}

fn parse(told: &str) -> Option<(u64, String)> {
    let member = |name: &str| {
        told.split_ascii_whitespace()
            .find_map(|member| member.strip_prefix(name)?.strip_prefix('='))
    };
    let address = member("addr")?;
    // All clients of a unix socket have the same address.
    let is_unix = address.starts_with('/') || address.ends_with(":0");
    let id = member("id")?.parse().ok()?;
    (!is_unix).then(|| (id, address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_answer_to_client_info() {
        let told = "id=3 addr=127.0.0.1:46274 laddr=127.0.0.1:6379 fd=8 name= age=0 user=default";
        assert_eq!(parse(told), Some((3, "127.0.0.1:46274".to_owned())));
        let unix = "id=3 addr=/tmp/redis.sock:0 laddr=/tmp/redis.sock:0 fd=8";
        assert_eq!(parse(unix), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("id=x addr=1:2"), None);
    }
}
