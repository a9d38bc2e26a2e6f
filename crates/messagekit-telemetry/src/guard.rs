//! The exporter of this process, from its settings to its last span.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{SpanCounts, set_telemetry};
use messagekit::{Error, ErrorKind};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::contexts::Contexts;
use crate::counted::{Bounded, Counted, Counts};
use crate::endpoint::{Signal, is_wanted, number, records_unrecorded, timeout};
use crate::http_client::{Blocking, agent};
use crate::log_filter::LogFilter;
use crate::resource::of_service;

/// Maximum time of the last export.
pub(crate) const LAST_EXPORT: Duration = Duration::from_secs(5);
/// Finished spans that wait for their export: the default of the specification.
const ROOM: usize = 2048;

/// Exports the spans of this process until it is dropped.
#[must_use = "spans are exported until it is dropped"]
pub struct TelemetryGuard {
    /// Absent while traces are off.
    provider: Option<SdkTracerProvider>,
    counts: Arc<Counts>,
}

impl TelemetryGuard {
    /// Starts the exporter, if the environment names a receiver. Outboxes and loops of this process then make spans, which a
    /// subscriber with [`layer`](Self::layer) records.
    ///
    /// # Errors
    /// As [`init`](crate::init()).
    pub fn from_env(service: &str) -> Result<Self, Error> {
        let counts = Arc::<Counts>::default();
        if !is_wanted(Signal::Traces, |name| std::env::var(name).ok())? {
            return Ok(Self { provider: None, counts });
        }
        let provider = provider(service, &counts)?;
        set_telemetry(Contexts::new(
            Arc::clone(&counts),
            records_unrecorded(|name| std::env::var(name).ok()),
        ))?;
        opentelemetry::global::set_tracer_provider(provider.clone());
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider: Some(provider), counts })
    }

    /// Checks whether the environment asks for traces in a way that is known.
    ///
    /// # Errors
    /// As [`init`](crate::init()).
    pub fn check_env() -> Result<(), Error> {
        is_wanted(Signal::Traces, |name| std::env::var(name).ok()).map(drop)
    }

    /// Returns whether this process exports traces.
    pub fn is_on(&self) -> bool {
        self.provider.is_some()
    }

    /// Returns the layer that records spans of level `info` and above, for a subscriber of your own. Log lines are no part of
    /// a trace: they may contain what a trace must not.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync>(
        &self,
    ) -> Option<impl Layer<S> + Send + Sync + use<S>> {
        let tracer = self.provider.as_ref()?.tracer("messagekit");
        let spans = filter_fn(|metadata| metadata.is_span()).and(LevelFilter::INFO);
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // Each of these costs time in every span. Idle time would count the polls of a runtime, not what a handler waits for.
        let layer = layer.with_location(false).with_threads(false).with_target(false);
        Some(layer.with_tracked_inactivity(false).with_filter(spans))
    }

    /// Starts the log of this program with its traces. A program that has set a log of its own keeps it.
    pub fn log(&self, filter: LogFilter) {
        tracing_subscriber::registry().with(self.layer()).with(filter.lines()).try_init().ok();
    }

    /// Returns how many spans were exported and how many were lost.
    pub fn spans(&self) -> SpanCounts {
        self.counts.read()
    }

    /// Exports what is finished, and ends the exporter within five seconds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] with the number of spans that the receiver has not accepted. A retry does not help.
    pub fn shutdown(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(provider) = self.provider.take() else { return Ok(()) };
        let before = self.counts.read();
        let ended = provider.shutdown_with_timeout(LAST_EXPORT);
        let lost = self.counts.read().failed - before.failed + self.counts.queued() as u64;
        match ended {
            Ok(()) if lost == 0 => Ok(()),
            _ => {
                let text = format!(
                    "{lost} spans were not exported: the receiver did not accept them within {LAST_EXPORT:?}"
                );
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        }
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "traces end early");
        }
    }
}

impl fmt::Debug for TelemetryGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryGuard").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

fn provider(service: &str, counts: &Arc<Counts>) -> Result<SdkTracerProvider, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let room = number("OTEL_BSP_MAX_QUEUE_SIZE", variable)?.unwrap_or(ROOM);
    let agent = agent(timeout(Signal::Traces, variable)?);
    let exporter =
        SpanExporter::builder().with_http().with_http_client(Blocking(agent)).build().map_err(|error| {
            let text = "receiver of traces cannot be used: correct OTEL_EXPORTER_OTLP_ENDPOINT";
            Error::new(ErrorKind::InvalidConfiguration, text).caused_by(error)
        })?;
    let exporter = Counted { inner: exporter, counts: Arc::clone(counts) };
    let queue = BatchConfigBuilder::default().with_max_queue_size(room).build();
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
    let processor = Bounded { inner, counts: Arc::clone(counts), room };
    Ok(SdkTracerProvider::builder().with_resource(of_service(service)).with_span_processor(processor).build())
}
