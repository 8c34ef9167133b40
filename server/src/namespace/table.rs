//! All namespaces of a server.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use socketio_core::cluster::Interest;

use super::Namespace;
use super::members::Admission;
use super::parent::{NamespaceRequest, ParentNamespace, Rule};
use crate::handler::{Running, guarded};
use crate::server::Shared;

/// The table of namespaces, and the parents that may add to it.
pub(crate) struct Namespaces {
    shared: Arc<Shared>,
    this: Weak<Self>,
    by_name: Mutex<HashMap<Arc<str>, Namespace>>,
    parents: RwLock<Vec<ParentNamespace>>,
    listeners: RwLock<Vec<NewNamespace>>,
}

type NewNamespace = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// What a client that asks for a namespace gets.
pub(crate) enum Resolved {
    Found(Admission),
    /// The application decides.
    Asking(BoxFuture<'static, Option<Admission>>),
    Unknown,
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespaces")
            .field(&self.by_name.lock().keys())
            .finish()
    }
}

impl Namespaces {
    /// With the main namespace in it.
    pub(crate) fn new(shared: Arc<Shared>) -> (Arc<Self>, Namespace) {
        let table = Arc::new_cyclic(|this| Self {
            shared,
            this: Weak::clone(this),
            by_name: Mutex::default(),
            parents: RwLock::default(),
            listeners: RwLock::default(),
        });
        let main = table.of("/");
        (table, main)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The namespace of this name, made if it does not exist.
    pub(crate) fn of(&self, name: &str) -> Namespace {
        let name: Arc<str> = if name.starts_with('/') {
            name.into()
        } else {
            format!("/{name}").into()
        };
        // Node too lets a pattern adopt what the application creates by name.
        let parent = self
            .parents
            .read()
            .iter()
            .find(|parent| parent.matches(&name))
            .cloned();
        self.find_or_create(&name, parent)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Namespace> {
        self.by_name.lock().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Namespace> {
        self.by_name.lock().values().cloned().collect()
    }

    pub(crate) fn add_parent(&self, rule: Rule) -> ParentNamespace {
        let parent = ParentNamespace::new(rule, Weak::clone(&self.this));
        self.parents.write().push(parent.clone());
        parent
    }

    pub(super) fn children(&self, parent: &ParentNamespace) -> Vec<Namespace> {
        let by_name = self.by_name.lock();
        let children = by_name
            .values()
            .filter(|child| child.parent() == Some(parent));
        children.cloned().collect()
    }

    pub(crate) fn on_new(&self, listener: NewNamespace) {
        self.listeners.write().push(listener);
    }

    /// Finds the namespace for a client, and holds it open.
    pub(crate) fn resolve(&self, name: &str, auth: Option<&str>) -> Resolved {
        if let Some(admission) = self.get(name).and_then(|namespace| namespace.admit()) {
            return Resolved::Found(admission);
        }
        let parents = self.parents.read().clone();
        if parents.is_empty() || !name.starts_with('/') {
            return Resolved::Unknown;
        }
        let request = NamespaceRequest {
            name: name.into(),
            auth: auth.map(Into::into),
        };
        let mut parents = parents.into_iter();
        while let Some(parent) = parents.next() {
            if parent.matches(name) {
                return Resolved::Found(self.admit_child(&request.name, &parent));
            }
            if let Some(answer) = parent.ask(&request) {
                let Some(this) = self.this.upgrade() else {
                    return Resolved::Unknown;
                };
                return Resolved::Asking(Box::pin(this.ask_on(request, parent, answer, parents)));
            }
        }
        Resolved::Unknown
    }

    /// Waits for the predicates, in order.
    async fn ask_on(
        self: Arc<Self>,
        request: NamespaceRequest,
        mut parent: ParentNamespace,
        mut answer: BoxFuture<'static, bool>,
        mut others: std::vec::IntoIter<ParentNamespace>,
    ) -> Option<Admission> {
        loop {
            if Running::new(answer, self.shared.metrics())
                .await
                .unwrap_or(false)
            {
                return Some(self.admit_child(&request.name, &parent));
            }
            loop {
                parent = others.next()?;
                if parent.matches(&request.name) {
                    return Some(self.admit_child(&request.name, &parent));
                }
                if let Some(next) = parent.ask(&request) {
                    answer = next;
                    break;
                }
            }
        }
    }

    fn admit_child(&self, name: &Arc<str>, parent: &ParentNamespace) -> Admission {
        loop {
            let namespace = self.find_or_create(name, Some(parent.clone()));
            // It may become empty and be removed between the two; then there is another one.
            if let Some(admission) = namespace.admit() {
                return admission;
            }
            self.remove(&namespace);
        }
    }

    fn find_or_create(&self, name: &Arc<str>, parent: Option<ParentNamespace>) -> Namespace {
        let created = {
            let mut by_name = self.by_name.lock();
            if let Some(known) = by_name.get(name) {
                return known.clone();
            }
            let this = Weak::clone(&self.this);
            let created = Namespace::new(Arc::clone(name), &self.shared, this, parent);
            by_name.insert(Arc::clone(name), created.clone());
            self.watch(Interest::NamespaceOpened(name));
            created
        };
        let listeners = self.listeners.read().clone();
        for listener in listeners {
            guarded(self.shared.metrics(), || listener(&created));
        }
        created
    }

    /// Removes just this namespace, not another one of its name.
    pub(super) fn remove(&self, namespace: &Namespace) {
        let mut by_name = self.by_name.lock();
        if by_name.get(namespace.name()) == Some(namespace) {
            by_name.remove(namespace.name());
            self.watch(Interest::NamespaceClosed(namespace.name()));
        }
    }

    /// Tells the adapter, which is set later than the main namespace is made, what exists.
    pub(crate) fn watch_all(&self) {
        for name in self.by_name.lock().keys() {
            self.watch(Interest::NamespaceOpened(name));
        }
    }

    /// Called under the lock of the table, so that the order is right.
    fn watch(&self, change: Interest<'_>) {
        if let Some(cluster) = self.shared.cluster() {
            cluster.watch(change);
        }
    }
}
