//! Holds a lane back until nothing of it is on its way any more.

use tokio::sync::watch;

/// See the module.
///
/// A message that comes to belong to another server must not be sent there while older ones of its
/// channel are under way to the server before: that one may refuse them, and they would have to
/// follow.
#[derive(Debug, Default)]
pub(crate) struct Gate(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    is_used: bool,
}

/// While there is one, messages of the lane may be on their way.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Lets no more messages leave.
    pub(crate) fn close(&self) {
        self.0.send_modify(|state| state.is_closed = true);
    }

    /// Lets messages leave.
    pub(crate) fn open(&self) {
        self.0.send_modify(|state| state.is_closed = false);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.borrow().is_closed
    }

    /// Waits until no more messages may leave.
    pub(super) async fn closed(&self) {
        self.wait_for(|state| state.is_closed).await;
    }

    /// Waits until no messages are on their way.
    pub(crate) async fn unused(&self) {
        self.wait_for(|state| !state.is_used).await;
    }

    /// Waits until messages may leave.
    pub(super) async fn enter(&self) -> Pass<'_> {
        loop {
            let entered = self.0.send_if_modified(|state| {
                state.is_used |= !state.is_closed;
                !state.is_closed
            });
            if entered {
                return Pass(self);
            }
            self.wait_for(|state| !state.is_closed).await;
        }
    }

    async fn wait_for(&self, condition: impl FnMut(&State) -> bool) {
        let mut state = self.0.subscribe();
        // Cannot fail: the sender is in `self`.
        let _ = state.wait_for(condition).await;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.is_used = false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::join;

    use super::Gate;

    #[tokio::test]
    async fn who_is_inside_is_waited_for_and_nobody_comes_in_meanwhile() {
        let gate = Gate::default();
        let pass = gate.enter().await;
        assert!(gate.closed().now_or_never().is_none());
        gate.close();
        gate.closed().await;
        assert!(gate.unused().now_or_never().is_none());
        join!(gate.unused(), async { drop(pass) });
        assert!(gate.enter().now_or_never().is_none());
        let (pass, ()) = join!(gate.enter(), async { gate.open() });
        assert!(gate.unused().now_or_never().is_none());
        drop(pass);
        gate.unused().await;
    }
}
