//! The span of an incoming HTTP request.

use messagekit::adapter::telemetry;
use messagekit::headers::TraceContext;
use tracing::Span;

/// Starts the span of an incoming request, as a child of its caller's. `route` is the pattern of the path, never the path
/// itself; `header` looks a header of the request up by its name. Instrument the work of the request with it: events that are
/// written then belong to the trace.
///
/// ```
/// use tracing::Instrument;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let headers = std::collections::HashMap::<&str, &str>::new();
/// let span = messagekit_telemetry::request_span("POST", "/orders", |name| headers.get(name).copied());
/// async { /* place the order */ }.instrument(span).await;
/// # });
/// ```
pub fn request_span<'a>(method: &str, route: &str, header: impl Fn(&'static str) -> Option<&'a str>) -> Span {
    let Some(telemetry) = telemetry() else { return Span::none() };
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
    );
    if let Some(caller) = header("traceparent").and_then(|header| header.parse::<TraceContext>().ok()) {
        let state = header("tracestate").and_then(|state| caller.clone().with_state(state).ok());
        telemetry.set_parent(&span, &state.unwrap_or(caller));
    }
    span
}
