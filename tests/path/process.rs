//! The start of a program of the path, which may export its traces.

use std::sync::Mutex;

use messagekit_tests::Launch;

/// The receiver of the traces of all programs.
static TRACES: Mutex<Option<String>> = Mutex::new(None);

/// Makes programs that start from now on export their traces, until it is dropped. The tests run one at a time.
pub(crate) struct Traced;

impl Traced {
    pub(crate) fn to(endpoint: String) -> Self {
        *TRACES.lock().unwrap() = Some(endpoint);
        Self
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        *TRACES.lock().unwrap() = None;
    }
}

/// Returns a program with its arguments.
pub(crate) fn launch(program: &str, arguments: &[&str]) -> Launch {
    let traces = TRACES.lock().unwrap().clone().map(|endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    let launch = Launch::of(program).arguments(arguments).variables(traces);
    launch.variables([("OTEL_BSP_SCHEDULE_DELAY", "100")])
}
