//! Trace contexts between spans of this process and messages.

use std::sync::Arc;

use messagekit::adapter::{RemoteContext, SpanCounts, Telemetry};
use messagekit::headers::TraceContext;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::counted::Counts;

/// The telemetry of this process, as the loops see it.
#[derive(Debug)]
pub(crate) struct Contexts {
    counts: Arc<Counts>,
    /// Whether this process may record what a writer has decided not to record.
    records_unrecorded: bool,
}

impl Contexts {
    pub(crate) fn new(counts: Arc<Counts>, records_unrecorded: bool) -> Self {
        Self { counts, records_unrecorded }
    }
}

impl Telemetry for Contexts {
    fn current(&self) -> Option<TraceContext> {
        of(Context::current().span().span_context())
    }

    fn context(&self, span: &Span) -> Option<TraceContext> {
        of(span.context().span().span_context())
    }

    fn is_recorded(&self, parent: &TraceContext) -> bool {
        parent.is_sampled() || self.records_unrecorded
    }

    fn remote(&self, span: &TraceContext) -> Option<Box<dyn RemoteContext>> {
        Some(Box::new(Remote(Context::new().with_remote_span_context(remote(span)?))))
    }

    fn set_parent(&self, span: &Span, parent: &TraceContext) {
        if let Some(parent) = remote(parent) {
            // It fails only for a span that has begun or that nobody records.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
    }

    fn link(&self, span: &Span, to: &TraceContext) {
        if let Some(to) = remote(to) {
            span.add_link(to);
        }
    }

    fn spans(&self) -> SpanCounts {
        self.counts.read()
    }
}

#[derive(Debug)]
struct Remote(Context);

impl RemoteContext for Remote {
    fn run(&self, code: &mut dyn FnMut()) {
        let _attached = self.0.clone().attach();
        code();
    }
}

fn of(context: &SpanContext) -> Option<TraceContext> {
    if !context.is_valid() {
        return None;
    }
    let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
    let read: TraceContext = format!("00-{trace}-{span}-{flags:02x}").parse().ok()?;
    match context.trace_state().header() {
        state if state.is_empty() => Some(read),
        // The state is for others: a trace without it is better than none.
        state => Some(read.clone().with_state(state).unwrap_or(read)),
    }
}

fn remote(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.traceparent().split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let state: TraceState = context.tracestate().and_then(|state| state.parse().ok()).unwrap_or_default();
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, state))
}

/// Returns the id of the current trace, for a log line.
pub(crate) fn current_trace_id() -> Option<TraceId> {
    let context = Context::current();
    let span = context.span();
    Some(span.span_context()).filter(|context| context.is_valid()).map(SpanContext::trace_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_both_ways() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context: TraceContext = parent.parse().unwrap();
        let context = context.with_state("vendor=1,other=2").unwrap();
        assert_eq!(of(&remote(&context).unwrap()).unwrap(), context);
        assert_eq!(of(&SpanContext::empty_context()), None);
    }

    #[test]
    fn code_in_a_remote_context_belongs_to_its_trace() {
        let contexts = Contexts::new(Arc::default(), false);
        let parent: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".parse().unwrap();
        let mut inside = None;
        contexts.remote(&parent).unwrap().run(&mut || inside = contexts.current());
        assert_eq!(inside, Some(parent));
        assert_eq!(contexts.current(), None, "it ends with the code");
    }
}
