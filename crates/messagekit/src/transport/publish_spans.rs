//! Spans of messages on their way to a broker.

use tracing::Span;
use tracing::field::Empty;

use super::Published;
use crate::Message;
use crate::message::{TraceContext, headers};
use crate::telemetry::telemetry;

/// A span for each message of a batch whose trace is recorded. They begin together, and end when this is dropped.
///
/// The messages keep their context: a consumer's span is a child of the writer's, whichever way the message has taken.
#[derive(Debug)]
pub struct PublishSpans(Vec<(usize, Span)>);

impl PublishSpans {
    /// Starts the spans. `publisher` is the name of the loop and `system` that of the broker's kind.
    pub fn begin(publisher: &str, system: &str, messages: &[Message]) -> Self {
        let Some(telemetry) = telemetry() else { return Self(Vec::new()) };
        let recorded = messages.iter().enumerate().filter_map(|(index, message)| {
            let writer = TraceContext::sampled(message)?;
            let (topic, id) = (&*message.topic, message.headers.text(headers::ID));
            let span = tracing::info_span!(
                parent: None,
                "publish",
                otel.name = format_args!("publish {topic}"),
                otel.kind = "producer",
                otel.status_code = Empty,
                error.type = Empty,
                messaging.system = system,
                messaging.operation.type = "send",
                messaging.operation.name = "publish",
                messaging.destination.name = topic,
                messaging.message.id = id,
                messaging.message.body.size = message.payload.len(),
                messaging.batch.message_count = messages.len(),
                messagekit.publisher = publisher,
            );
            telemetry.set_parent(&span, &writer);
            // A span begins when it is entered first.
            span.in_scope(|| ());
            Some((index, span))
        });
        Self(recorded.collect())
    }

    /// Records what the broker answered, and ends the spans.
    pub fn end(self, answers: &[Published]) {
        for (index, span) in self.0 {
            if let Some(Err(refused)) = answers.get(index) {
                span.record("otel.status_code", "error");
                span.record("error.type", refused.refusal.as_str());
            }
        }
    }
}
