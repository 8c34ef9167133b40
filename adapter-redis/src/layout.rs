//! Keeps what is known of the servers up to date.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use tokio::sync::{Notify, watch};

use crate::backoff::Backoff;
use crate::connect::{Layout, timed_out};
use crate::shared::Shared;

/// How often a cluster or the Sentinels are asked although nothing seems wrong: a master may have
/// lost its role without its connections breaking.
const REFRESH: Duration = Duration::from_secs(5);

/// The servers as they were when somebody last asked.
#[derive(Debug)]
pub(crate) struct Layouts {
    current: watch::Sender<Option<Arc<Layout>>>,
    stale: Notify,
}

impl Layouts {
    pub(crate) fn new() -> Self {
        Self {
            current: watch::Sender::new(None),
            stale: Notify::new(),
        }
    }

    /// Something went wrong that another layout may mend.
    pub(crate) fn stale(&self) {
        self.stale.notify_one();
    }

    pub(crate) fn current(&self) -> Option<Arc<Layout>> {
        self.current.borrow().clone()
    }

    /// Waits until somebody has told which servers there are.
    pub(crate) async fn known(&self) -> RedisResult<Arc<Layout>> {
        let mut current = self.current.subscribe();
        let known = current.wait_for(Option::is_some).await;
        known
            .ok()
            .and_then(|known| known.clone())
            .ok_or_else(timed_out)
    }

    /// Follows the changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.current.subscribe()
    }

    /// Asks at the start, when the layout seems stale, and now and then.
    pub(crate) async fn keep(&self, shared: &Shared) {
        let connector = &shared.connector;
        let mut backoff = Backoff::new(&shared.config);
        loop {
            let was_old = connector.is_old();
            let asked = connector.layout().await;
            let wait = match asked {
                Ok(layout) => {
                    let layout = Arc::new(layout);
                    self.current.send_if_modified(|current| {
                        let is_new = current.as_ref().is_none_or(|known| **known != *layout);
                        *current = Some(layout);
                        is_new
                    });
                    if !connector.may_move() {
                        return;
                    }
                    REFRESH
                }
                // It works in the older protocol, if at all.
                Err(_) if connector.is_old() != was_old => continue,
                Err(error) => {
                    backoff.log(&error, "the servers are not known");
                    shared.progress.notify_one();
                    backoff.next()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stale.notified() => {
                    // Who finds the layout stale asks again and again.
                    tokio::time::sleep(backoff.next()).await;
                }
            }
            if wait == REFRESH {
                backoff.reset();
            }
        }
    }
}
