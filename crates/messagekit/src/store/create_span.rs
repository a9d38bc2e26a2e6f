//! The span of a new event.

use tracing::Span;
use tracing::field::Empty;

use crate::message::{MessageId, TraceContext};
use crate::telemetry::telemetry;

/// Starts the span of a new event, by the conventions for messaging of OpenTelemetry
/// (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>). Its context travels with the event.
pub(super) fn create_span(event: &MessageId, event_type: &str, topic: &str) -> Option<(Span, TraceContext)> {
    let telemetry = telemetry()?;
    if let Some(current) = telemetry.current().filter(|current| !telemetry.is_recorded(current)) {
        return Some((Span::none(), current));
    }
    let span = tracing::info_span!(
        "create",
        otel.name = format_args!("create {topic}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "messagekit",
        messaging.operation.type = "create",
        messaging.operation.name = "create",
        messaging.destination.name = topic,
        messaging.message.id = event.as_str(),
        messagekit.event.type = event_type,
        messagekit.rolled_back = Empty,
    );
    let context = telemetry.context(&span)?;
    Some((span, context))
}
