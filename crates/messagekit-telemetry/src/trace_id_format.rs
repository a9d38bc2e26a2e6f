//! Log lines with the id of their trace.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::contexts::current_trace_id;

/// Adds `trace_id` to each line inside a span, behind its other fields.
///
/// ```
/// use messagekit_telemetry::WithTraceId;
///
/// # use tracing_subscriber::layer::SubscriberExt;
/// let lines = tracing_subscriber::fmt::layer().event_format(WithTraceId::default());
/// # let _ = tracing_subscriber::registry().with(lines);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WithTraceId(Format);

impl<S, N> FormatEvent<S, N> for WithTraceId
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let names = event.metadata().fields();
        let Some(trace_id) = current_trace_id().filter(|_| names.field("trace_id").is_none()) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        let mut inner = Writer::new(&mut line);
        self.0.format_event(context, inner.by_ref(), event)?;
        writeln!(writer, "{} trace_id={trace_id}", line.trim_end_matches('\n'))
    }
}
