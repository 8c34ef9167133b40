//! Dynamic namespaces: a parent decides by a pattern or a predicate which names exist, and its
//! handlers serve all children.

use std::fmt;

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use regex::Regex;
use serde::de::DeserializeOwned;

use super::handlers::{Handlers, handler_methods};
use super::{Namespace, Namespaces};
use crate::broadcast::{BroadcastOperator, Scope};
use crate::extract::AuthError;
use socketio_core::target::Flags;

/// Namespaces that come into being when a client asks for one of them.
///
/// Handlers and middlewares that are added here serve all children, those that exist already too.
/// Operators reach the sockets of all children on this node and, for each of these, on the others.
///
/// ```
/// use socketio_server::{Server, Socket};
///
/// let io = Server::builder().build();
/// let workspaces = io.of_pattern("^/workspace-[a-z]+$")?;
/// workspaces.on_connect(async |socket: Socket| {
///     println!("{} joined {}", socket.id(), socket.namespace().name());
/// });
/// workspaces.operator().emit("maintenance", "in ten minutes").ok();
/// # Ok::<(), socketio_server::PatternError>(())
/// ```
#[derive(Clone)]
pub struct ParentNamespace(Arc<Inner>);

struct Inner {
    rule: Rule,
    handlers: Handlers,
    table: Weak<Namespaces>,
}

pub(crate) enum Rule {
    Pattern(Regex),
    Predicate(Predicate),
}

/// Asks the application whether a namespace exists.
pub(crate) type Predicate = Box<dyn Fn(NamespaceRequest) -> BoxFuture<'static, bool> + Send + Sync>;

/// A client asks for a namespace that does not exist yet. Shown to the predicate of
/// [`of_predicate`](crate::Server::of_predicate).
#[derive(Debug, Clone)]
pub struct NamespaceRequest {
    pub(crate) name: Arc<str>,
    pub(crate) auth: Option<Box<str>>,
}

impl NamespaceRequest {
    /// The name, with its leading `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client sent as `auth`; `{}` when it sent nothing.
    ///
    /// # Errors
    ///
    /// When it is no `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, AuthError> {
        let json = self.auth.as_deref().unwrap_or("{}");
        serde_json::from_str(json).map_err(|error| AuthError(error.to_string()))
    }
}

/// The pattern is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern: {0}")]
pub struct PatternError(pub(crate) String);

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match &self.0.rule {
            Rule::Pattern(pattern) => pattern.as_str(),
            Rule::Predicate(_) => "predicate",
        };
        f.debug_tuple("ParentNamespace").field(&rule).finish()
    }
}

impl PartialEq for ParentNamespace {
    /// Whether both are the same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ParentNamespace {}

impl ParentNamespace {
    pub(super) fn new(rule: Rule, table: Weak<Namespaces>) -> Self {
        Self(Arc::new(Inner {
            rule,
            handlers: Handlers::default(),
            table,
        }))
    }

    handler_methods!();

    /// The children that exist on this node.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        let table = self.0.table.upgrade();
        table.map_or_else(Vec::new, |table| table.children(self))
    }

    /// All sockets of all children.
    pub fn operator(&self) -> BroadcastOperator {
        BroadcastOperator::new(Scope::Parent(self.clone()), Flags::default())
    }

    fn enable_presence(&self) {
        if let Some(table) = self.0.table.upgrade()
            && let Some(cluster) = table.shared().cluster()
        {
            cluster.enable_notices();
        }
    }

    pub(super) fn handlers(&self) -> &Handlers {
        &self.0.handlers
    }

    /// Whether the name belongs to this parent by its pattern.
    pub(super) fn matches(&self, name: &str) -> bool {
        matches!(&self.0.rule, Rule::Pattern(pattern) if pattern.is_match(name))
    }

    /// Asks the predicate, if that is what decides here.
    pub(super) fn ask(&self, request: &NamespaceRequest) -> Option<BoxFuture<'static, bool>> {
        match &self.0.rule {
            Rule::Pattern(_) => None,
            Rule::Predicate(predicate) => Some(predicate(request.clone())),
        }
    }
}
