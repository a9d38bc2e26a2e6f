//! Whether this process exports traces and metrics.

use std::time::Duration;

use messagekit::{Error, ErrorKind};

/// Time limit of a request, unless the environment sets another: the default of the specification.
const REQUEST: Duration = Duration::from_secs(10);

/// What a process exports.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

/// The variables of a signal, and its exporters that are not over OTLP.
struct Names {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    timeout: &'static str,
    others: &'static [&'static str],
}

impl Signal {
    fn names(self) -> Names {
        match self {
            Self::Traces => Names {
                exporter: "OTEL_TRACES_EXPORTER",
                endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                others: &["none"],
            },
            Self::Metrics => Names {
                exporter: "OTEL_METRICS_EXPORTER",
                endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                // Prometheus reads `/metrics`, whatever is exported.
                others: &["none", "prometheus"],
            },
        }
    }
}

/// Returns whether the environment asks for an export over OTLP.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for an exporter that is not known.
pub(crate) fn is_wanted(signal: Signal, variable: impl Fn(&str) -> Option<String>) -> Result<bool, Error> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let Names { exporter, endpoint, protocol, others, .. } = signal.names();
    let protocols = [protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let protocol = protocols.iter().find_map(|name| Some((name, variable(name)?)));
    if let Some((name, other)) = protocol.filter(|(_, protocol)| protocol != "http/protobuf") {
        let text =
            format!("{name} is {other:?}: set it to http/protobuf, and the port to that of HTTP, often 4318");
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    let Some(exporters) = variable(exporter) else {
        return Ok([endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT"].iter().any(|name| variable(name).is_some()));
    };
    let mut exporters = exporters.split(',').map(str::trim);
    match exporters.clone().find(|name| *name != "otlp" && !others.contains(name)) {
        None => Ok(exporters.any(|name| name == "otlp")),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            format!(
                "{exporter} is {:?}: set it to otlp or {}",
                exporters.collect::<Vec<_>>().join(","),
                others.join(" or ")
            ),
        )),
    }
}

/// Returns the time limit of a request; `None` for 0, which sets none.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for what is no number.
pub(crate) fn timeout(
    signal: Signal,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Duration>, Error> {
    let names = [signal.names().timeout, "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let found = names.iter().find_map(|name| number(name, &variable).transpose()).transpose()?;
    let limit = found.map_or(REQUEST, |limit| Duration::from_millis(limit as u64));
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

/// Returns the number in a variable, if it is set.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for another text.
pub(crate) fn number(name: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<usize>, Error> {
    let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| {
        Error::new(ErrorKind::InvalidConfiguration, format!("{name} is {value:?}: set it to a number"))
    })
}

/// Returns whether this process may record what a writer in another process has decided not to record: whether its sampler
/// does not ask for the parent's decision.
pub(crate) fn records_unrecorded(variable: impl Fn(&str) -> Option<String>) -> bool {
    let sampler = variable("OTEL_TRACES_SAMPLER").unwrap_or_default().to_lowercase();
    matches!(sampler.as_str(), "always_on" | "traceidratio")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Result<bool, Error> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
        is_wanted(Signal::Traces, |name| found(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_writers_decision_is_kept_unless_the_sampler_ignores_it() {
        for (sampler, expected) in [
            (None, false),
            (Some("parentbased_always_on"), false),
            (Some("parentbased_traceidratio"), false),
            (Some("always_off"), false),
            (Some("always_on"), true),
            (Some("TraceIdRatio"), true),
        ] {
            let read = |name: &str| sampler.filter(|_| name == "OTEL_TRACES_SAMPLER").map(str::to_owned);
            assert_eq!(records_unrecorded(read), expected, "{sampler:?}");
        }
    }

    #[test]
    fn traces_are_exported_where_an_endpoint_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces");
        for (variables, expected) in [
            (&[][..], false),
            (&[endpoint], true),
            (&[of_traces], true),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "1")], true),
        ] {
            assert_eq!(wanted(variables).unwrap(), expected, "{variables:?}");
        }
        let refused = wanted(&[("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err();
        assert_eq!(refused.to_string(), "OTEL_TRACES_EXPORTER is \"zipkin\": set it to otlp or none");
    }
}
