//! How busy the threads are that run connections.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use socketio_core::metrics::Page;
use tokio::runtime::Handle;

/// Shows a runtime.
#[derive(Debug)]
pub(crate) struct Threads(pub(crate) Handle);

impl Collector for Threads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(&mut encoder, "socketio_runtime_");
        let metrics = self.0.metrics();
        let workers = metrics.num_workers();
        let busy = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker));
        page.gauge("workers", "Threads that run connections", signed(workers))?;
        page.counter(
            "busy_seconds",
            "Time in which these threads had work, all together",
            busy.map(|time| time.as_secs_f64()).sum::<f64>(),
        )?;
        page.gauge(
            "queued_tasks",
            "Tasks that wait for a thread, without those in the queues of single threads",
            signed(metrics.global_queue_depth()),
        )
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
