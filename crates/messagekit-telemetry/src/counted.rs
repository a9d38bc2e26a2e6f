//! A bounded queue of finished spans in front of the exporter, and the count of what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use messagekit::adapter::SpanCounts;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

/// What became of finished spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    /// Finished spans that are neither exported nor lost.
    queued: AtomicUsize,
    /// The receiver did not accept the last batch.
    is_away: AtomicBool,
}

impl Counts {
    pub(crate) fn read(&self) -> SpanCounts {
        SpanCounts {
            exported: self.exported.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }
}

/// Passes spans to the exporter's thread, at most `room` at a time. More are dropped: a receiver that is away neither slows
/// the program down nor grows it.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) inner: BatchSpanProcessor,
    pub(crate) counts: Arc<Counts>,
    pub(crate) room: usize,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let queued = self.counts.queued.fetch_add(1, Relaxed);
        if queued < self.room {
            self.inner.on_end(span);
            return;
        }
        self.counts.queued.fetch_sub(1, Relaxed);
        if self.counts.dropped.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                room = self.room,
                "queue of finished spans is full: spans are dropped from now on"
            );
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what the receiver accepts.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    pub(crate) inner: E,
    pub(crate) counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let answer = self.inner.export(batch).await;
        let is_away = answer.is_err();
        let count = if is_away { &self.counts.failed } else { &self.counts.exported };
        count.fetch_add(spans as u64, Relaxed);
        self.counts.queued.fetch_sub(spans, Relaxed);
        match (self.counts.is_away.swap(is_away, Relaxed), &answer) {
            (false, Err(error)) => {
                tracing::warn!(spans, %error, "receiver of traces does not accept spans: they are lost");
            }
            (true, Ok(())) => tracing::info!("receiver of traces accepts spans again"),
            _ => {}
        }
        answer
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
