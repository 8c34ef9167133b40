//! One value of each type: the state of a server, and what an application attaches to a socket.

use std::any::{Any, TypeId};
use std::fmt;

use parking_lot::Mutex;

type Value = Box<dyn Any + Send + Sync>;

/// Values by their type.
///
/// An ordered list, as there are few and most sockets have none; empty, it owns no memory.
#[derive(Default)]
pub(crate) struct TypeMap(Vec<(TypeId, Value)>);

impl TypeMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.remove::<T>();
        self.0.push((TypeId::of::<T>(), Box::new(value)));
        old
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        let (_, value) = self.0.iter().find(|(known, _)| *known == id)?;
        value.downcast_ref()
    }

    pub(crate) fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let id = TypeId::of::<T>();
        let (_, value) = self.0.iter_mut().find(|(known, _)| *known == id)?;
        value.downcast_mut()
    }

    pub(crate) fn remove<T: 'static>(&mut self) -> Option<T> {
        let id = TypeId::of::<T>();
        let at = self.0.iter().position(|(known, _)| *known == id)?;
        let value = self.0.swap_remove(at).1.downcast().ok()?;
        Some(*value)
    }
}

impl fmt::Debug for TypeMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypeMap")
            .field("len", &self.0.len())
            .finish()
    }
}

/// Data that the application attaches to a socket: one value of each type.
///
/// Stays on this node; what other nodes shall see goes into
/// [`Socket::set_data`](crate::Socket::set_data).
///
/// ```
/// # use socketio_server::Socket;
/// #[derive(Clone)]
/// struct User { name: String }
///
/// fn remember(socket: &Socket, name: &str) {
///     socket.extensions().insert(User { name: name.to_owned() });
/// }
///
/// fn name(socket: &Socket) -> Option<String> {
///     socket.extensions().get::<User>().map(|user| user.name)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Extensions<'a>(pub(crate) &'a Mutex<Option<Box<TypeMap>>>);

impl Extensions<'_> {
    /// Attaches `value` and returns the one of this type that it replaces.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.0.lock().get_or_insert_default().insert(value)
    }

    /// A copy of the value of type `T`.
    #[must_use]
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.lock().as_ref()?.get::<T>().cloned()
    }

    /// Lets `change` work on the value of type `T`, under the socket's lock: it must be quick.
    pub fn update<T: 'static, R>(&self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.lock().as_mut()?.get_mut::<T>().map(change)
    }

    /// Takes the value of type `T` away.
    #[must_use]
    pub fn remove<T: 'static>(&self) -> Option<T> {
        self.0.lock().as_mut()?.remove()
    }
}

impl fmt::Debug for Extensions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.lock().as_ref() {
            Some(map) => map.fmt(f),
            None => TypeMap::default().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type() {
        let map = Mutex::new(None);
        let extensions = Extensions(&map);
        assert_eq!(extensions.get::<u8>(), None);
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("a"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        assert_eq!(extensions.get::<&str>(), Some("a"));
        assert_eq!(
            extensions.update(|n: &mut u8| {
                *n += 1;
                *n
            }),
            Some(3)
        );
        assert_eq!(extensions.remove::<u8>(), Some(3));
        assert_eq!(extensions.get::<u8>(), None);
    }
}
