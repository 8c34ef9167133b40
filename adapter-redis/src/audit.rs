//! What was heard of other nodes, compared with what they say that they sent.

use std::collections::HashMap;
use std::sync::Arc;

use bytestring::ByteString;
use socketio_core::cluster::AdapterCounters;
use socketio_core::ids::NodeId;

use crate::statement::Statement;

/// Nodes that are watched in one namespace. The one that has been silent for longest is forgotten
/// for another.
const MAX_NODES: usize = 1000;

/// See the module. What one node lacks of another one is known as soon as it hears two statements:
/// the first one says where to begin, and each further one how many messages were to come between.
#[derive(Debug)]
pub(crate) struct Audit {
    counters: Arc<AdapterCounters>,
    namespaces: HashMap<ByteString, HashMap<NodeId, Heard>>,
    /// Number of the last statement.
    statements: u64,
}

#[derive(Debug)]
struct Heard {
    /// What the node last stated.
    stated: u64,
    /// Messages since then.
    messages: u64,
    /// The number of that statement.
    statement: u64,
}

impl Audit {
    pub(crate) fn new(counters: Arc<AdapterCounters>) -> Self {
        Self {
            counters,
            namespaces: HashMap::new(),
            statements: 0,
        }
    }

    /// A message came.
    pub(crate) fn heard(&mut self, namespace: &str, node: &NodeId) {
        let nodes = self.namespaces.get_mut(namespace);
        if let Some(heard) = nodes.and_then(|nodes| nodes.get_mut(node)) {
            heard.messages += 1;
        }
    }

    /// A node says how many messages it has sent.
    pub(crate) fn stated(&mut self, namespace: &str, statement: Statement) {
        let Statement { node, messages } = statement;
        self.statements += 1;
        let now = Heard {
            stated: messages,
            messages: 0,
            statement: self.statements,
        };
        if !self.namespaces.contains_key(namespace) {
            self.namespaces.insert(namespace.into(), HashMap::new());
        }
        let Some(nodes) = self.namespaces.get_mut(namespace) else {
            return;
        };
        if let Some(heard) = nodes.get_mut(&node) {
            let before = std::mem::replace(heard, now);
            // It falls when the node has started again.
            let sent = messages.saturating_sub(before.stated);
            let missing = sent.saturating_sub(before.messages);
            if missing > 0 {
                tracing::warn!(%node, namespace, missing, "messages of a node were lost on the way");
                let missing = usize::try_from(missing).unwrap_or(usize::MAX);
                self.counters.missed.add(missing);
            }
            return;
        }
        if nodes.len() >= MAX_NODES {
            let oldest = nodes.iter().min_by_key(|(_, heard)| heard.statement);
            if let Some(oldest) = oldest.map(|(node, _)| node.clone()) {
                nodes.remove(&oldest);
            }
        }
        nodes.insert(node, now);
    }

    /// A namespace is heard no more.
    pub(crate) fn closed(&mut self, namespace: &str) {
        self.namespaces.remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "000000000000000a";

    fn state(audit: &mut Audit, node: &str, messages: u64) {
        let node = NodeId::from(node);
        audit.stated("/", Statement { node, messages });
    }

    fn hear(audit: &mut Audit, node: &str, messages: usize) {
        for _ in 0..messages {
            audit.heard("/", &NodeId::from(node));
        }
    }

    fn missed(audit: &Audit) -> u64 {
        audit.counters.missed.value()
    }

    #[test]
    fn what_lies_between_two_statements_and_did_not_come_is_missed() {
        let mut audit = Audit::new(Arc::default());
        // Nobody knows what came before it.
        hear(&mut audit, A, 3);
        state(&mut audit, A, 10);
        hear(&mut audit, A, 5);
        state(&mut audit, A, 15);
        assert_eq!(missed(&audit), 0);
        hear(&mut audit, A, 3);
        state(&mut audit, A, 20);
        assert_eq!(missed(&audit), 2);
        state(&mut audit, A, 20);
        assert_eq!(missed(&audit), 2, "said again");
        // A statement that is lost itself harms nothing.
        hear(&mut audit, A, 99);
        state(&mut audit, A, 120);
        assert_eq!(missed(&audit), 3);
        hear(&mut audit, "000000000000000b", 7);
        state(&mut audit, A, 120);
        assert_eq!(missed(&audit), 3, "of somebody else");
    }

    #[test]
    fn it_begins_anew_with_a_node_that_starts_again_and_a_namespace_that_was_closed() {
        let mut audit = Audit::new(Arc::default());
        state(&mut audit, A, 1000);
        state(&mut audit, A, 0);
        hear(&mut audit, A, 4);
        state(&mut audit, A, 5);
        assert_eq!(missed(&audit), 1);
        audit.closed("/");
        hear(&mut audit, A, 1);
        state(&mut audit, A, 50);
        assert_eq!(missed(&audit), 1);
    }

    #[test]
    fn who_has_been_silent_for_longest_is_forgotten_first() {
        let mut audit = Audit::new(Arc::default());
        for number in 0..=MAX_NODES {
            state(&mut audit, &format!("{number:016x}"), 10);
        }
        assert_eq!(audit.namespaces["/"].len(), MAX_NODES);
        state(&mut audit, &format!("{:016x}", 1), 12);
        assert_eq!(missed(&audit), 2, "still known");
        state(&mut audit, &format!("{:016x}", 0), 12);
        assert_eq!(missed(&audit), 2, "forgotten");
    }
}
