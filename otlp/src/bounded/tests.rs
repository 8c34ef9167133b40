use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{BatchConfigBuilder, SdkTracerProvider};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::*;
use crate::counts::Snapshot;

/// Takes a batch for each permit; refuses while it is told to.
#[derive(Debug)]
struct Gate {
    permits: Semaphore,
    refuses: AtomicBool,
    took: Mutex<Vec<usize>>,
}

#[derive(Debug)]
struct Gated(Arc<Gate>);

impl SpanExporter for Gated {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // A timer too: it works on the runtime only.
        sleep(Duration::from_millis(1)).await;
        let permit = self.0.permits.acquire().await;
        permit.expect("it is never closed").forget();
        if self.0.refuses.load(Ordering::Relaxed) {
            return Err(OTelSdkError::InternalFailure("refused".to_owned()));
        }
        self.0.took.lock().push(batch.len());
        Ok(())
    }
}

struct Line {
    gate: Arc<Gate>,
    counts: Counts,
    provider: SdkTracerProvider,
}

impl Line {
    /// No more than 4 spans may wait, 2 go in one batch.
    fn new(within: Duration) -> Self {
        let gate = Arc::new(Gate {
            permits: Semaphore::new(0),
            refuses: AtomicBool::new(false),
            took: Mutex::default(),
        });
        let counts = Counts::default();
        let exporter = Gated(Arc::clone(&gate));
        let exporter = CountingExporter::new(exporter, Handle::current(), within, counts.clone());
        let limits = BatchConfigBuilder::default()
            .with_max_queue_size(4)
            .with_max_export_batch_size(2)
            .with_scheduled_delay(Duration::from_millis(5))
            .build();
        let processor = BoundedProcessor {
            inner: BatchSpanProcessor::new(exporter, limits),
            counts: counts.clone(),
            limit: 4,
        };
        let provider = SdkTracerProvider::builder().with_span_processor(processor);
        Self {
            gate,
            counts,
            provider: provider.build(),
        }
    }

    fn spans(&self, number: usize) {
        let tracer = self.provider.tracer("test");
        for _ in 0..number {
            tracer.start("span").end();
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let waited = timeout(Duration::from_secs(10), async {
            loop {
                let now = self.counts.snapshot();
                if holds(&now) {
                    return now;
                }
                sleep(Duration::from_millis(1)).await;
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("{what}: {:?}", self.counts))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_does_not_fit_is_dropped_and_counted() {
    let line = Line::new(Duration::from_secs(60));
    line.spans(10);
    let now = line.counts.snapshot();
    assert_eq!((now.queued, now.queue_full, now.exported), (4, 6, 0));
    line.gate.permits.add_permits(100);
    let now = line.until("all are sent", |now| now.queued == 0).await;
    assert_eq!((now.exported, now.dropped()), (4, 6));
    let took = line.gate.took.lock().clone();
    assert_eq!(took.iter().sum::<usize>(), 4);
    assert!(took.iter().all(|batch| *batch <= 2), "{took:?}");
    // There is room again.
    line.spans(4);
    let now = line.until("the next too", |now| now.exported == 8).await;
    assert_eq!(now.dropped(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refused_and_hanging_batches_are_counted_once() {
    let line = Line::new(Duration::from_millis(50));
    line.gate.refuses.store(true, Ordering::Relaxed);
    line.gate.permits.add_permits(1);
    line.spans(2);
    line.until("refused", |now| now.export_failed == 2).await;
    // Without a permit it hangs.
    line.spans(2);
    let now = line.until("given up", |now| now.export_failed == 4).await;
    assert_eq!((now.queued, now.exported), (0, 0));
    line.gate.refuses.store(false, Ordering::Relaxed);
    line.gate.permits.add_permits(100);
    line.spans(2);
    line.until("taken", |now| now.exported == 2).await;
}

#[test]
fn the_log_tells_a_loss_once_a_minute() {
    let mut log = Log::default();
    log.tell(None, 0);
    assert_eq!(log.told, None);
    log.tell(Some("refused"), 2);
    let first = log.told.expect("told");
    assert_eq!(first.1, 2);
    for lost in [4, 6] {
        log.tell(Some("refused"), lost);
    }
    assert_eq!(log.told, Some(first));
    let long_ago = first.0.checked_sub(TELL_EVERY);
    log.told = Some((long_ago.expect("the machine runs for a minute"), 2));
    log.tell(None, 6);
    assert_eq!(log.told.map(|(_, lost)| lost), Some(6));
    assert!(!log.failing);
}
