//! The publishing half, which an adapter and a [`Publisher`](crate::Publisher) have in common.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::outbox::Outbox;
use crate::shared::Shared;

/// The tasks that publish, and what else runs beside them.
pub(crate) struct Sending {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outbox: Arc<Outbox>,
    /// The tasks that publish; they end when everything is sent.
    lanes: TaskTracker,
    /// All others.
    pub(crate) tasks: TaskTracker,
    /// Ends the tasks of what is dropped without being closed.
    _stop: DropGuard,
}

impl Sending {
    pub(crate) fn start(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let (lanes, tasks) = (TaskTracker::new(), TaskTracker::new());
        let outbox = Arc::new(Outbox::new(Arc::clone(&shared), lanes.clone()));
        outbox.start();
        tasks.spawn(keep_layout(Arc::clone(&shared)));
        tasks.spawn(Arc::clone(&outbox).follow());
        let stop = shared.stop.clone().drop_guard();
        Self {
            shared,
            outbox,
            lanes,
            tasks,
            _stop: stop,
        }
    }

    /// Takes no more messages, sends those that wait for as long as that may take, and ends all
    /// tasks.
    pub(crate) async fn close(&self) {
        self.outbox.close();
        self.lanes.close();
        let limit = self.shared.config.close_timeout;
        if timeout(limit, self.lanes.wait()).await.is_err() {
            tracing::warn!("not everything could be sent before the close");
        }
        self.shared.stop.cancel();
        self.lanes.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.outbox.give_up();
    }
}

async fn keep_layout(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = shared.layouts.keep(&shared) => {}
    }
}
