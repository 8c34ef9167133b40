//! Who is there.

use std::collections::BTreeSet;

use socketio_core::cluster::{ClusterResponse, ResponseBody};
use socketio_core::ids::NodeId;

/// The nodes that have said that they, or others, are there.
#[derive(Debug, Default)]
pub(super) struct Roll {
    named: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    /// How many nodes hear the question, where the carrier counts them.
    ours: Option<usize>,
}

impl Roll {
    pub(super) fn new(ours: Option<usize>) -> Self {
        Self {
            ours,
            ..Self::default()
        }
    }

    pub(super) fn handle(&mut self, response: ClusterResponse) {
        let ResponseBody::Nodes(nodes) = response.body else {
            return;
        };
        if let Some(node) = response.node {
            self.named.insert(node.clone());
            self.answered.insert(node);
        }
        self.named.extend(nodes);
    }

    /// Whether everybody has answered who is named by anybody, and as many as were counted.
    pub(super) fn is_complete(&self) -> bool {
        if self.ours == Some(0) {
            return true;
        }
        !self.answered.is_empty()
            && self.named.is_subset(&self.answered)
            && self.ours.is_none_or(|ours| self.answered.len() >= ours)
    }

    /// The nodes that are there, and how many more were counted that nobody has named.
    pub(super) fn into_expected(self) -> (Vec<NodeId>, usize) {
        let unnamed = self.ours.unwrap_or(0).saturating_sub(self.named.len());
        (self.named.into_iter().collect(), unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(node: &str, nodes: &[&str]) -> ClusterResponse {
        ClusterResponse {
            node: Some(node.into()),
            namespace: "/".into(),
            request: "r".into(),
            body: ResponseBody::Nodes(nodes.iter().map(|&node| node.into()).collect()),
        }
    }

    #[test]
    fn all_that_are_named_must_answer() {
        let mut roll = Roll::new(None);
        assert!(!roll.is_complete(), "nobody is not everybody");
        roll.handle(answer("a", &["a", "b"]));
        assert!(!roll.is_complete());
        roll.handle(answer("b", &["b", "c"]));
        assert!(!roll.is_complete(), "c is only known to b");
        roll.handle(answer("c", &[]));
        assert!(roll.is_complete());
        assert_eq!(
            roll.into_expected(),
            (vec!["a".into(), "b".into(), "c".into()], 0)
        );
    }

    #[test]
    fn those_that_were_counted_must_answer_too() {
        let mut roll = Roll::new(Some(3));
        roll.handle(answer("a", &["a"]));
        roll.handle(answer("b", &["a", "b"]));
        assert!(!roll.is_complete());
        assert_eq!(roll.into_expected(), (vec!["a".into(), "b".into()], 1));
    }

    #[test]
    fn a_node_that_has_died_does_not_answer() {
        let mut roll = Roll::new(Some(1));
        roll.handle(answer("a", &["a", "dead"]));
        assert!(!roll.is_complete());
        let (nodes, unnamed) = roll.into_expected();
        assert_eq!((nodes.len(), unnamed), (2, 0));
    }

    #[test]
    fn where_no_node_of_ours_is_nobody_need_answer() {
        let roll = Roll::new(Some(0));
        assert!(roll.is_complete());
        assert_eq!(roll.into_expected(), (vec![], 0));
    }
}
