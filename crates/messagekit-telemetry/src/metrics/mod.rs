//! The metrics of this process over OTLP.

mod request;
mod settings;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use messagekit::{Error, ErrorKind};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use prost::Message;

use crate::guard::LAST_EXPORT;
use crate::http_client::MAX_ANSWER;
use crate::resource::of_instance;
use request::Origin;
use settings::Settings;

/// Exports the content of a registry until it is dropped: every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (60,000), and once more
/// at the end, for which the drop waits at most five seconds.
///
/// What Prometheus reads at `/metrics` is what a receiver gets: the same names, labels as attributes, counters and histograms since the
/// start of the export. An export that fails loses nothing, because the next one has the whole count; it is logged once until
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
    /// The outcome of the last export. In a lock, so that a reference to the guard may go to another thread.
    last: Mutex<Receiver<Result<(), String>>>,
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
            // The guard waits no longer than its limit.
            ended.send(receiver.export_until(&stopped)).ok();
        };
        thread::Builder::new().name("otlp-metrics".to_owned()).spawn(export).map_err(|error| {
            let text = "thread of the metrics' export cannot be started: raise the limit of threads";
            Error::new(ErrorKind::Unavailable, text).caused_by(error)
        })?;
        Ok(Self { exporter: Some(Exporter { interval, stop, last: Mutex::new(last) }) })
    }

    /// Checks the variables of the environment, as [`from_env`](Self::from_env) reads them.
    ///
    /// # Errors
    /// As there.
    pub fn check_env() -> Result<(), Error> {
        Settings::read(|name| std::env::var(name).ok()).map(drop)
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
        let last = exporter.last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cause = match last.recv_timeout(LAST_EXPORT) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(cause)) => cause,
            Err(RecvTimeoutError::Timeout) => format!("no answer within {LAST_EXPORT:?}"),
            Err(RecvTimeoutError::Disconnected) => "a collector of the registry met a fault".to_owned(),
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
        let mut due = Instant::now() + self.settings.interval;
        while let Err(RecvTimeoutError::Timeout) =
            stopped.recv_timeout(due.saturating_duration_since(Instant::now()))
        {
            due = Instant::now() + self.settings.interval;
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
        self.export(Some(self.settings.timeout.map_or(LAST_EXPORT, |limit| limit.min(LAST_EXPORT))))
    }

    fn export(&self, limit: Option<Duration>) -> Result<(), String> {
        let body = self.origin.request(&gathered(&self.registry)?, SystemTime::now()).encode_to_vec();
        let agent = &self.settings.agent;
        let mut request = agent.post(&self.settings.endpoint).content_type("application/x-protobuf");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        let sent = request.config().timeout_global(limit).build().send(&body);
        let mut answer = sent.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let answer = body.map_err(|error| error.to_string())?;
        let answer = ExportMetricsServiceResponse::decode(&*answer)
            .map_err(|_| "its answer is none of OTLP: something else has this address".to_owned())?;
        match answer.partial_success.map_or(0, |part| part.rejected_data_points) {
            0 => Ok(()),
            rejected => Err(format!("it rejects {rejected} of the values")),
        }
    }
}

/// Returns the values of a registry. Its collectors are code of anyone: the panic of one must not end the export for good.
fn gathered(registry: &Registry) -> Result<Vec<MetricFamily>, String> {
    let gathered = catch_unwind(AssertUnwindSafe(|| registry.gather()));
    gathered.map_err(|_| "a collector of the registry has panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus::core::{Collector, Desc};
    use prometheus::{Counter, Opts};

    use super::*;

    struct Panics {
        counter: Counter,
        panics: Arc<AtomicBool>,
    }

    impl Collector for Panics {
        fn desc(&self) -> Vec<&Desc> {
            self.counter.desc()
        }

        fn collect(&self) -> Vec<MetricFamily> {
            assert!(!self.panics.load(Ordering::SeqCst), "a fault in code of the user");
            self.counter.collect()
        }
    }

    #[test]
    fn metrics_come_again_after_a_collector_has_panicked() {
        let (registry, panics) = (Registry::new(), Arc::new(AtomicBool::new(true)));
        let counter = Counter::with_opts(Opts::new("orders_total", "Orders")).unwrap();
        registry.register(Box::new(Panics { counter, panics: panics.clone() })).unwrap();
        let families = || gathered(&registry).map(|families| families.len());
        assert_eq!(families(), Err("a collector of the registry has panicked".to_owned()));
        panics.store(false, Ordering::SeqCst);
        assert_eq!(families(), Ok(1));
    }
}
