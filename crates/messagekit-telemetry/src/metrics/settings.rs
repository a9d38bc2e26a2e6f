//! Where metrics are exported to, and how often.

use std::time::Duration;

use messagekit::{Error, ErrorKind};

use crate::endpoint::{Signal, is_wanted, number, timeout};
use crate::http_client::agent;

/// The default of the specification.
const INTERVAL: Duration = Duration::from_secs(60);
/// Shorter ones are as long: the thread never spins.
const SHORTEST: Duration = Duration::from_millis(1);
/// Whether each export has whole counts, or what was added since the last one, which a lost export would lose.
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
/// The receiver of a program that asks for the export and names none, as the specification has it.
const USUAL: &str = "http://localhost:4318";

pub(super) struct Settings {
    pub(super) agent: ureq::Agent,
    pub(super) endpoint: String,
    pub(super) headers: Vec<(String, String)>,
    /// The time limit of a request; none if it is absent.
    pub(super) timeout: Option<Duration>,
    pub(super) interval: Duration,
}

impl Settings {
    /// Reads the variables of OpenTelemetry, if they ask for the export.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        if !is_wanted(Signal::Metrics, &variable)? {
            return Ok(None);
        }
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(other) = variable(TEMPORALITY).filter(|other| !other.eq_ignore_ascii_case("cumulative")) {
            let text =
                format!("{TEMPORALITY} is {other:?}: set it to cumulative, the only one that is known");
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        let (endpoint, headers) = (endpoint(variable)?, headers(variable)?);
        let timeout = timeout(Signal::Metrics, variable)?;
        let interval = number("OTEL_METRIC_EXPORT_INTERVAL", variable)?;
        let interval = interval.map_or(INTERVAL, |interval| Duration::from_millis(interval as u64));
        Ok(Some(Self { agent: agent(None), endpoint, headers, timeout, interval: interval.max(SHORTEST) }))
    }
}

fn endpoint(variable: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
    let own = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    let (name, endpoint) = match variable(own) {
        Some(endpoint) => (own, endpoint),
        None => {
            let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
            let base = variable(all).unwrap_or_else(|| USUAL.to_owned());
            (all, format!("{}/v1/metrics", base.trim_end_matches('/')))
        }
    };
    let is_http = |uri: &ureq::http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    if endpoint.parse().is_ok_and(|uri| is_http(&uri)) {
        return Ok(endpoint);
    }
    // It may contain a password.
    let text = format!("{name} is no address: set it to one such as {USUAL}");
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

/// Returns the headers of each request: pairs such as `name=value`, between commas, with escapes as in a URL.
fn headers(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, Error> {
    let names = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let Some((name, pairs)) = names.iter().find_map(|name| variable(name).map(|pairs| (name, pairs))) else {
        return Ok(Vec::new());
    };
    let pairs = pairs.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        let is_usable = ureq::http::HeaderValue::from_str(&value).is_ok()
            && ureq::http::HeaderName::from_bytes(name.trim().as_bytes()).is_ok();
        is_usable.then(|| (name.trim().to_owned(), value.into_owned()))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        let text =
            format!("{name} holds what is no header: set it to pairs such as name=value, between commas");
        Error::new(ErrorKind::InvalidConfiguration, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Error> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::read(|name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");

    #[test]
    fn a_receiver_of_all_signals_has_a_path_for_metrics() {
        let settings = read(&[ALL]).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://127.0.0.1:4318/v1/metrics");
        assert_eq!(
            (settings.interval, settings.timeout),
            (Duration::from_secs(60), Some(Duration::from_secs(10)))
        );
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example/otlp");
        assert_eq!(read(&[ALL, own]).unwrap().unwrap().endpoint, "https://metrics.example/otlp");
        assert_eq!(
            read(&[("OTEL_METRICS_EXPORTER", "otlp")]).unwrap().unwrap().endpoint,
            "http://localhost:4318/v1/metrics"
        );
        assert!(
            read(&[ALL, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).unwrap().unwrap().timeout.is_none(),
            "no limit"
        );
        assert!(read(&[]).unwrap().is_none(), "no endpoint, no export");
        assert!(read(&[ALL, ("OTEL_METRICS_EXPORTER", "prometheus")]).unwrap().is_none());
    }

    #[test]
    fn variables_of_metrics_go_before_those_of_all_signals() {
        let settings = read(&[
            ALL,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20all"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20own, x-tenant = shop,"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "200"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ]);
        let settings = settings.unwrap().unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.headers, [header("authorization", "Bearer own"), header("x-tenant", "shop")]);
        assert_eq!(settings.timeout, Some(Duration::from_millis(200)));
        assert_eq!(settings.interval, Duration::from_millis(1), "the thread never spins");
    }

    #[test]
    fn wrong_variables_are_named_and_never_quoted() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0A"),
        ] {
            let Err(error) = read(&[ALL, (name, value)]) else { panic!("{name} {value}") };
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains("s3cret"), "{text}");
        }
        for (name, value, expected) in [
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "is \"soon\": set it to a number"),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "grpc",
                "is \"grpc\": set it to http/protobuf, and the port to that of HTTP, often 4318",
            ),
            (TEMPORALITY, "delta", "is \"delta\": set it to cumulative, the only one that is known"),
        ] {
            let Err(error) = read(&[ALL, (name, value)]) else { panic!("{name}") };
            assert_eq!(error.to_string(), format!("{name} {expected}"));
        }
    }
}
