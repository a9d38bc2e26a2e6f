//! The connection to a telemetry library.
//!
//! Core makes spans with `tracing` and knows no exporter. Without a telemetry library it makes none.

use std::fmt;
use std::sync::OnceLock;

use tracing::Span;

use crate::message::TraceContext;
use crate::{Error, ErrorKind};

/// Connects the spans of this process with those of others. A telemetry library implements it, and passes it to
/// [`set_telemetry`] once.
pub trait Telemetry: fmt::Debug + Send + Sync + 'static {
    /// Returns the context of the current span; `None` outside of any span.
    fn current(&self) -> Option<TraceContext>;

    /// Returns the context of a span of this process.
    fn context(&self, span: &Span) -> Option<TraceContext>;

    /// Returns whether a child of a span in another process may be recorded. The attributes of one that is not are never read.
    /// The default is true.
    fn is_recorded(&self, _parent: &TraceContext) -> bool {
        true
    }

    /// Returns the context of a span in another process, for code that runs in its trace without a span of its own.
    fn remote(&self, span: &TraceContext) -> Option<Box<dyn RemoteContext>>;

    /// Makes a new span the child of a span in another process.
    fn set_parent(&self, span: &Span, parent: &TraceContext);

    /// Links a span to another one, which need not belong to the same trace.
    fn link(&self, span: &Span, to: &TraceContext);

    /// Returns how many spans were exported and how many were lost.
    fn spans(&self) -> SpanCounts;
}

/// The context of a span in another process.
pub trait RemoteContext: fmt::Debug + Send + Sync {
    /// Runs code in it: spans that begin there are children of that span.
    fn run(&self, code: &mut dyn FnMut());
}

/// The fate of finished spans since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Spans that the receiver has accepted.
    pub exported: u64,
    /// Spans of calls that the receiver did not answer or refused.
    pub failed: u64,
    /// Spans that found the queue full.
    pub dropped: u64,
}

static TELEMETRY: OnceLock<Box<dyn Telemetry>> = OnceLock::new();

/// Sets the telemetry of this process. From now on outboxes, relays, bridges and consumers make spans.
///
/// # Errors
/// Returns [`ErrorKind::WrongState`] if it was set before. A retry does not help.
pub fn set_telemetry(telemetry: impl Telemetry) -> Result<(), Error> {
    TELEMETRY
        .set(Box::new(telemetry))
        .map_err(|_| Error::new(ErrorKind::WrongState, "telemetry is set already: set it once per process"))
}

/// Returns the telemetry of this process.
pub fn telemetry() -> Option<&'static dyn Telemetry> {
    TELEMETRY.get().map(Box::as_ref)
}
