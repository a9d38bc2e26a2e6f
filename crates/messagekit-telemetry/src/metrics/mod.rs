//! The metrics of this process over OTLP.

mod request;
mod settings;

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use messagekit::{Error, ErrorKind};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prometheus::Registry;
use prost::Message;

use crate::guard::LAST_EXPORT;
use crate::resource::of_instance;
use request::Origin;
use settings::Settings;

/// The largest answer of a receiver that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Exports the content of a registry until it is dropped: every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (60,000), and once more
/// at the end.
///
/// What Prometheus reads at `/metrics` is what a receiver gets: the same names, labels as attributes, counters and histograms since the
/// start of the process. An export that fails loses nothing, because the next one has the whole count; it is logged once until
/// the receiver accepts metrics again.
///
/// ```no_run
/// # fn main() -> Result<(), messagekit::Error> {
/// let registry = prometheus::Registry::new();
/// let exported = messagekit_telemetry::MetricsGuard::from_env("orders", &registry)?;
/// // … `messagekit_prometheus::Metrics::new(&registry)`, consumers, relays …
/// exported.shutdown()?;
/// # Ok(()) }
/// ```
#[must_use = "metrics are exported until it is dropped"]
pub struct MetricsGuard {
    /// Absent while the export is off.
    exporter: Option<Exporter>,
}

struct Exporter {
    interval: Duration,
    stop: Sender<()>,
    /// The outcome of the last export.
    last: Receiver<Result<(), String>>,
}

impl MetricsGuard {
    /// Starts the export, if the environment names a receiver. `service` is the name of the service, unless `OTEL_SERVICE_NAME` names
    /// another.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if a variable has a wrong value. A retry does not help.
    pub fn from_env(service: &str, registry: &Registry) -> Result<Self, Error> {
        let Some(settings) = Settings::read(|name| std::env::var(name).ok())? else {
            return Ok(Self { exporter: None });
        };
        let (interval, origin) = (settings.interval, Origin::new(&of_instance(service), SystemTime::now()));
        let (stop, stopped) = channel();
        let (ended, last) = channel();
        let mut receiver = OfMetrics { settings, origin, registry: registry.clone(), is_away: false };
        let export = move || {
            // Whoever waits for it may be gone.
            ended.send(receiver.export_until(&stopped)).ok();
        };
        thread::Builder::new().name("otlp-metrics".to_owned()).spawn(export).map_err(|error| {
            let text = "thread of the metrics' export cannot be started: raise the limit of threads";
            Error::new(ErrorKind::Unavailable, text).caused_by(error)
        })?;
        Ok(Self { exporter: Some(Exporter { interval, stop, last }) })
    }

    /// Returns how often metrics are exported, or `None` if they are not.
    pub fn interval(&self) -> Option<Duration> {
        self.exporter.as_ref().map(|exporter| exporter.interval)
    }

    /// Exports once more, and ends the export within five seconds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the receiver has not accepted the last metrics. A retry does not help.
    pub fn shutdown(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(exporter) = self.exporter.take() else { return Ok(()) };
        exporter.stop.send(()).ok();
        let cause = match exporter.last.recv_timeout(LAST_EXPORT) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {LAST_EXPORT:?}"),
        };
        let text = "last metrics were not exported: the receiver did not accept them";
        Err(Error::new(ErrorKind::Unavailable, text).caused_by(cause))
    }
}

impl Drop for MetricsGuard {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(error = messagekit::chain(&error), "metrics end early");
        }
    }
}

impl fmt::Debug for MetricsGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsGuard").field("interval", &self.interval()).finish_non_exhaustive()
    }
}

/// A receiver of metrics, and what it gets.
struct OfMetrics {
    settings: Settings,
    origin: Origin,
    registry: Registry,
    is_away: bool,
}

impl OfMetrics {
    /// Exports at each interval, and when it is stopped.
    fn export_until(&mut self, stopped: &Receiver<()>) -> Result<(), String> {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(self.settings.interval) {
            let answer = self.export(self.settings.timeout);
            match (std::mem::replace(&mut self.is_away, answer.is_err()), answer) {
                (false, Err(error)) => {
                    tracing::warn!(
                        error,
                        "receiver of metrics does not accept them: correct OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or set \
                         OTEL_METRICS_EXPORTER=none"
                    );
                }
                (true, Ok(())) => tracing::info!("receiver of metrics accepts them again"),
                _ => {}
            }
        }
        self.export(self.settings.timeout.min(LAST_EXPORT))
    }

    fn export(&self, limit: Duration) -> Result<(), String> {
        let body = self.origin.request(&self.registry.gather(), SystemTime::now()).encode_to_vec();
        let agent = &self.settings.agent;
        let mut request = agent.post(&self.settings.endpoint).content_type("application/x-protobuf");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        let sent = request.config().timeout_global(Some(limit)).build().send(&body);
        let mut answer = sent.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let answer = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        // A receiver that says nothing has taken all.
        let answer = answer.ok().and_then(|answer| ExportMetricsServiceResponse::decode(&*answer).ok());
        match answer.and_then(|answer| answer.partial_success).map_or(0, |part| part.rejected_data_points) {
            0 => Ok(()),
            rejected => Err(format!("it rejects {rejected} of the values")),
        }
    }
}
