//! Traces of a program over OTLP, by one line, and its metrics beside `/metrics`.
//!
//! ```no_run
//! # fn main() -> Result<(), messagekit::Error> {
//! let telemetry = messagekit_telemetry::init("orders")?;
//! // … outboxes, relays, bridges and consumers now make spans …
//! telemetry.shutdown()?;
//! # Ok(()) }
//! ```
//!
//! The span of an event's writer travels with the event. The spans of relay, bridge and every consumer are its children, so
//! one trace shows the whole way, also behind change data capture. Names and attributes follow the conventions for messaging
//! of OpenTelemetry (<https://opentelemetry.io/docs/specs/semconv/messaging/>). Spans contain no payloads, keys, or texts of
//! errors.
//!
//! # Settings
//!
//! The environment variables of the OpenTelemetry specification. Without an endpoint nothing is exported, which differs from
//! the specification: a program must not send to a port of its machine because nobody said where to.
//!
//! | variable | meaning |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | the receiver, such as `http://127.0.0.1:4318` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT` | headers of each request, time limit in milliseconds |
//! | `OTEL_TRACES_EXPORTER` | `otlp` exports to `http://localhost:4318` if no endpoint is named, `none` turns traces off |
//! | `OTEL_METRICS_EXPORTER` | the same for [metrics](MetricsGuard); `prometheus` is `none`, because `/metrics` is served anyway |
//! | `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two exports of metrics (60,000) |
//! | `OTEL_SDK_DISABLED` | `true` turns both off |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the name of the service instead of the program's own, further attributes |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | for example `parentbased_traceidratio` and `0.1`; a writer's decision is kept |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | queue of finished spans |

mod contexts;
mod counted;
mod endpoint;
mod guard;
mod http_client;
mod log_filter;
mod metrics;
mod request_span;
mod resource;
mod trace_id_format;

use messagekit::Error;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use guard::TelemetryGuard;
pub use log_filter::LogFilter;
pub use metrics::MetricsGuard;
pub use request_span::request_span;
pub use trace_id_format::WithTraceId;

/// Exports the traces of this program and logs to standard error, with the id of the trace in each line: at level `info`, unless the
/// variable `MESSAGEKIT_LOG` says otherwise ([`LogFilter`]). `service` is the name of the service, unless `OTEL_SERVICE_NAME` names
/// another. Programs with a log of their own use [`TelemetryGuard::from_env`].
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) if a variable has a wrong value, and
/// [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState) if this process has telemetry or a log already. A retry
/// does not help.
pub fn init(service: &str) -> Result<TelemetryGuard, Error> {
    let guard = TelemetryGuard::from_env(service)?;
    let lines = LogFilter::from_env(LevelFilter::INFO)?.lines();
    tracing_subscriber::registry().with(guard.layer()).with(lines).try_init().map_err(|error| {
        let text = "a log is set already: add `TelemetryGuard::layer` to it instead of `init`";
        Error::new(messagekit::ErrorKind::WrongState, text).caused_by(error)
    })?;
    Ok(guard)
}
