//! The spans of a consumer, by the conventions for messaging of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>).
//!
//! A span never has a payload, a key or the text of an error. They go to another company's service more often than logs.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::settings::Settings;
use crate::Message;
use crate::handler::Input;
use crate::message::TraceContext;
use crate::store::{Failure, Next, ReceivedMessage, Store, TransactionSpans};
use crate::telemetry::{RemoteContext, Telemetry, telemetry};

/// Maximum number of links of a span: what collectors keep by default.
const MAX_LINKS: usize = 128;

/// Starts the span of a batch run, linked to its messages.
pub(super) fn receive<'a, S: Store>(
    settings: &Settings<S>,
    messages: impl ExactSizeIterator<Item = &'a Message>,
) -> Span {
    let Some(telemetry) = telemetry() else { return Span::none() };
    let (count, mut messages) = (messages.len(), messages.peekable());
    let topic = messages.peek().map_or("", |message| &*message.topic);
    let span = tracing::info_span!(
        parent: None,
        "receive",
        otel.name = format_args!("receive {topic}"),
        otel.kind = "client",
        otel.status_code = Empty,
        messaging.system = settings.system,
        messaging.operation.type = "receive",
        messaging.operation.name = "receive",
        messaging.destination.name = topic,
        messaging.consumer.group.name = &*settings.name,
        messaging.batch.message_count = count,
    );
    let contexts = messages.filter_map(TraceContext::sampled);
    contexts.take(MAX_LINKS).for_each(|context| telemetry.link(&span, &context));
    span
}

/// The spans of one run of a handler.
pub(super) struct ProcessSpans {
    /// One for each message; that of a message whose trace is not recorded is empty.
    spans: Vec<Span>,
    around: Around,
}

/// What a handler runs in.
enum Around {
    /// With the address of its transaction, unless it is in none.
    Span(Span, Option<(usize, TransactionSpans)>),
    /// The writer's context, for what the handler writes and logs.
    Writer(Option<Box<dyn RemoteContext>>),
}

impl ProcessSpans {
    /// Starts the spans of a handler over the transaction at an address.
    pub(super) fn begin<S: Store>(
        settings: &Settings<S>,
        (tx, transaction): (usize, &TransactionSpans),
        first: &Input<'_>,
        behind: &[Input<'_>],
    ) -> Self {
        let Some(telemetry) = telemetry() else { return Self::none() };
        if behind.is_empty() {
            return Self::of_one(telemetry, settings, "process", first, Some((tx, transaction)));
        }
        let inputs = std::iter::once(first).chain(behind);
        let spans: Vec<Span> = inputs
            .map(|input| {
                let writer = TraceContext::of(&input.received.message);
                process(telemetry, settings, "process", input, writer.as_ref())
            })
            .collect();
        // A span begins when it is entered first.
        spans.iter().for_each(|span| span.in_scope(|| ()));
        spans.iter().for_each(|span| transaction.hold(span));
        // Several messages share one run, which belongs to no single trace.
        Self { spans, around: Around::Span(Span::current(), Some((tx, transaction.clone()))) }
    }

    /// Starts the span of the call of a message.
    pub(super) fn of_call<S: Store>(settings: &Settings<S>, input: &Input<'_>) -> Self {
        telemetry()
            .map_or_else(Self::none, |telemetry| Self::of_one(telemetry, settings, "call", input, None))
    }

    fn none() -> Self {
        Self { spans: Vec::new(), around: Around::Writer(None) }
    }

    fn of_one<S: Store>(
        telemetry: &dyn Telemetry,
        settings: &Settings<S>,
        operation: &str,
        input: &Input<'_>,
        transaction: Option<(usize, &TransactionSpans)>,
    ) -> Self {
        match TraceContext::of(&input.received.message) {
            Some(writer) if !telemetry.is_recorded(&writer) => {
                Self { spans: Vec::new(), around: Around::Writer(telemetry.remote(&writer)) }
            }
            writer => {
                let span = process(telemetry, settings, operation, input, writer.as_ref());
                let held = transaction.map(|(tx, transaction)| {
                    transaction.hold(&span);
                    (tx, transaction.clone())
                });
                Self { spans: vec![span.clone()], around: Around::Span(span, held) }
            }
        }
    }

    /// Runs a handler or a call in its span, or in the context of the writer.
    pub(super) async fn around<F: Future>(&self, handling: F) -> F::Output {
        match &self.around {
            Around::Span(span, Some((tx, transaction))) => {
                transaction.around(*tx, handling).instrument(span.clone()).await
            }
            Around::Span(span, None) => handling.instrument(span.clone()).await,
            Around::Writer(None) => handling.await,
            Around::Writer(Some(writer)) => {
                let mut handling = pin!(handling);
                poll_fn(|cx| {
                    let mut polled = Poll::Pending;
                    writer.run(&mut || polled = handling.as_mut().poll(cx));
                    polled
                })
                .await
            }
        }
    }

    /// Records the failure of one message, or of all if the culprit is unknown.
    pub(super) fn failed(&self, culprit: Option<usize>, kind: &str) {
        let failed = self.spans.iter().enumerate().filter(|(index, _)| culprit.is_none_or(|it| it == *index));
        failed.for_each(|(_, span)| {
            span.record("otel.status_code", "error");
            span.record("error.type", kind);
        });
    }
}

/// Starts the span of one run of a message: a child of the writer's span, linked to the batch run that is the current span.
/// A message without a context belongs to the batch run. A trace that is not recorded gets no span.
fn process<S: Store>(
    telemetry: &dyn Telemetry,
    settings: &Settings<S>,
    operation: &str,
    input: &Input<'_>,
    writer: Option<&TraceContext>,
) -> Span {
    let Some(writer) = writer else { return recorded(settings, operation, input) };
    if !telemetry.is_recorded(writer) {
        return Span::none();
    }
    let (span, batch) = (recorded(settings, operation, input), telemetry.current());
    telemetry.set_parent(&span, writer);
    batch.iter().filter(|batch| batch.is_sampled()).for_each(|batch| telemetry.link(&span, batch));
    span
}

fn recorded<S: Store>(settings: &Settings<S>, operation: &str, input: &Input<'_>) -> Span {
    let Input { received, meta, info, .. } = input;
    let topic = &*received.message.topic;
    let place = received.position.as_ref();
    tracing::info_span!(
        "process",
        otel.name = format_args!("{operation} {topic}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        messaging.system = settings.system,
        messaging.operation.type = "process",
        messaging.operation.name = operation,
        messaging.destination.name = topic,
        messaging.destination.partition.id = place.map(|place| place.partition),
        messaging.consumer.group.name = &*settings.name,
        messaging.message.id = received.id.as_str(),
        messagekit.offset = place.map(|place| place.offset),
        messaging.message.conversation_id = meta.correlation_id.as_ref().map(|id| id.as_str()),
        messagekit.event.type = meta.event_type,
        messagekit.attempt = info.attempt,
        messagekit.rolled_back = Empty,
    )
}

/// Starts the span of settling `count` messages, inside the current one.
pub(super) fn settle<S: Store>(settings: &Settings<S>, count: usize) -> Span {
    if telemetry().is_none() || count == 0 {
        return Span::none();
    }
    tracing::info_span!(
        "settle",
        otel.name = "settle",
        otel.kind = "client",
        messaging.system = settings.system,
        messaging.operation.type = "settle",
        messaging.operation.name = "settle",
        messaging.consumer.group.name = &*settings.name,
        messaging.batch.message_count = count,
    )
}

/// Records that a message became a failed message, as a span of its trace.
pub(super) fn set_aside(consumer: &str, received: &ReceivedMessage, failure: &Failure) {
    let Some(telemetry) = telemetry() else { return };
    let topic = &*received.message.topic;
    let span = tracing::info_span!(
        "set aside",
        otel.name = format_args!("set aside {topic}"),
        otel.status_code = "error",
        error.type = failure.kind.as_str(),
        messaging.destination.name = topic,
        messaging.consumer.group.name = consumer,
        messaging.message.id = received.id.as_str(),
        messagekit.attempt = failure.attempts,
        messagekit.dead = failure.next == Next::Dead,
    );
    if let Some(writer) = TraceContext::of(&received.message) {
        telemetry.set_parent(&span, &writer);
    }
    span.in_scope(|| ());
}

/// Returns the id of the trace that a message belongs to, for a log line.
pub(super) fn trace_id(message: &Message) -> Option<String> {
    TraceContext::of(message).map(|context| context.trace_id().to_owned())
}
