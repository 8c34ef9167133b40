//! What a server refused because it is no more responsible.

use std::collections::HashSet;

use bytes::Bytes;

use crate::outbound::{OutQueue, Outgoing};

/// See the module. It is sent again, before everything that came later.
#[derive(Debug, Default)]
pub(super) struct Refused {
    messages: Vec<Outgoing>,
    /// Those of the messages.
    channels: HashSet<Bytes>,
    /// The newest one.
    probe: Option<Outgoing>,
}

impl Refused {
    pub(super) fn push(&mut self, refused: Outgoing) {
        if refused.is_probe() {
            self.probe = Some(refused);
        } else if refused.is_message() {
            self.channels.insert(refused.channel.clone());
            self.messages.push(refused);
        }
    }

    /// A later message of a channel was accepted: those before it cannot be sent any more, as they
    /// would arrive out of order. The result is their number.
    pub(super) fn overtaken(&mut self, channel: &Bytes) -> usize {
        if !self.channels.remove(channel) {
            return 0;
        }
        let before = self.messages.len();
        self.messages.retain(|message| message.channel != *channel);
        before - self.messages.len()
    }

    /// Puts everything back to where it came from.
    pub(super) fn put_back(&mut self, queue: &OutQueue) {
        let Self {
            messages, probe, ..
        } = std::mem::take(self);
        if !messages.is_empty() {
            queue.put_back(messages);
        }
        if let Some(probe) = probe {
            queue.return_probe(probe);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.probe.is_none()
    }

    /// How many messages there are.
    pub(super) fn messages(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use socketio_core::cluster::AdapterCounters;

    use super::Refused;
    use crate::config::RedisConfig;
    use crate::outbound::{Content, Limits, OutQueue, Outgoing};

    fn message(channel: &str, payload: &'static str) -> Outgoing {
        Outgoing::plain(channel.to_owned(), payload.into())
    }

    #[test]
    fn it_goes_before_what_waits_but_not_behind_what_was_accepted() {
        let counters = Arc::<AdapterCounters>::default();
        let limits = Arc::new(Limits::new(&RedisConfig::new("redis://x"), counters));
        let queue = OutQueue::new(Arc::clone(&limits));
        let waiting = message("a", "4");
        limits
            .reserve(std::slice::from_ref(&waiting))
            .expect("room");
        queue.push([waiting]);

        let mut refused = Refused::default();
        assert!(refused.is_empty());
        for (channel, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "3")] {
            refused.push(message(channel, payload));
        }
        let mut probe = message("p", "");
        probe.content = Content::Probe;
        refused.push(probe);
        assert_eq!(refused.overtaken(&"c".into()), 0);
        assert_eq!(refused.overtaken(&"b".into()), 2);
        assert_eq!(refused.overtaken(&"b".into()), 0);
        assert_eq!(refused.messages(), 2);

        refused.put_back(&queue);
        assert!(refused.is_empty());
        assert_eq!(limits.used().0, 3);
        let taken = queue.take(usize::MAX, usize::MAX);
        let payloads: Vec<_> = taken.iter().map(|one| &one.payload[..]).collect();
        assert_eq!(payloads, [&b""[..], b"1", b"3", b"4"]);
        assert_eq!(limits.used(), (0, 0));
    }
}
