//! The W3C trace context of a message.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::Message;
use super::headers::{TRACEPARENT, TRACESTATE};
use crate::{Error, ErrorKind};

/// Length of the parts that every version has.
const TRACEPARENT_BYTES: usize = 55;

/// The context among the attributes of a CloudEvent in binary form, by its extension for distributed tracing.
const CE_TRACEPARENT: &str = "ce_traceparent";
const CE_TRACESTATE: &str = "ce_tracestate";

fn traceparent(message: &Message) -> Option<&Bytes> {
    message.headers.get(TRACEPARENT).or_else(|| message.headers.get(CE_TRACEPARENT))
}

/// The trace that an event belongs to, by the recommendation W3C Trace Context (<https://www.w3.org/TR/trace-context/>).
///
/// `traceparent` travels as a header of its own, `tracestate` among the free headers.
///
/// ```
/// use messagekit::headers::TraceContext;
///
/// let context: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
/// assert!(context.is_sampled());
/// assert!("00-0-0-0".parse::<TraceContext>().is_err());
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

impl TraceContext {
    /// Maximum length of a `tracestate` in bytes: what each hop has to carry by the recommendation.
    pub const MAX_STATE_BYTES: usize = 512;

    /// Adds the state of the vendors that took part in the trace.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidEvent`] if it is longer than [`MAX_STATE_BYTES`](Self::MAX_STATE_BYTES), or not printable
    /// ASCII. A retry does not help.
    pub fn with_state(mut self, tracestate: impl Into<String>) -> Result<Self, Error> {
        let tracestate = tracestate.into();
        if !is_state(&tracestate) {
            let text = format!("tracestate is not 1 to {} bytes of printable ASCII", Self::MAX_STATE_BYTES);
            return Err(Error::new(ErrorKind::InvalidEvent, text));
        }
        self.tracestate = Some(tracestate);
        Ok(self)
    }

    /// Reads the context of a message. Returns `None` without a valid `traceparent`: by the recommendation, a malformed one
    /// starts a new trace, and a malformed `tracestate` is dropped.
    pub fn of(message: &Message) -> Option<Self> {
        // Most messages have no context: their free headers are not parsed.
        traceparent(message)?;
        Self::among(message, &message.headers.free())
    }

    /// As [`of`](Self::of), for a message whose writer has recorded its span. Other messages cost a look at one header.
    pub(crate) fn sampled(message: &Message) -> Option<Self> {
        let traceparent = traceparent(message)?;
        let flags =
            traceparent.get(53..TRACEPARENT_BYTES).and_then(|flags| std::str::from_utf8(flags).ok())?;
        if is_sampled(flags) { Self::of(message) } else { None }
    }

    /// As [`of`](Self::of), with the free headers of the message.
    pub(super) fn among(message: &Message, free: &BTreeMap<String, String>) -> Option<Self> {
        let context: Self = std::str::from_utf8(traceparent(message)?).ok()?.parse().ok()?;
        // Producers without messagekit send it as a header of its own.
        let header = |name| message.headers.text(name);
        let state = header(TRACESTATE).or_else(|| header(CE_TRACESTATE));
        let state = state.or_else(|| free.get(TRACESTATE).map(String::as_str));
        let state = state.filter(|state| is_state(state)).map(str::to_owned);
        Some(Self { tracestate: state, ..context })
    }

    /// Reads a context from attributes of a CloudEvent.
    pub(super) fn of_texts(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let context: Self = traceparent.parse().ok()?;
        Some(Self { tracestate: tracestate.filter(|state| is_state(state)).map(str::to_owned), ..context })
    }

    /// Returns the header `traceparent`.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Returns the header `tracestate`, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    /// Returns whether the writer has recorded its span.
    pub fn is_sampled(&self) -> bool {
        is_sampled(&self.traceparent[53..TRACEPARENT_BYTES])
    }
}

/// Reads a `traceparent`. A version above 00 may have further parts, as the recommendation asks.
impl FromStr for TraceContext {
    type Err = Error;

    fn from_str(traceparent: &str) -> Result<Self, Error> {
        if is_traceparent(traceparent.as_bytes()) {
            return Ok(Self { traceparent: traceparent.to_owned(), tracestate: None });
        }
        Err(Error::new(
            ErrorKind::InvalidEvent,
            "traceparent is not VERSION-TRACE-SPAN-FLAGS in hexadecimal digits, like \
             00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent)
    }
}

/// The state of vendors may hold anything, so it is not shown.
impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({})", self.traceparent)
    }
}

fn is_sampled(flags: &str) -> bool {
    u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
}

fn is_traceparent(text: &[u8]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &[u8]| is_hex(part) && part.iter().any(|byte| *byte != b'0');
    let Some((known, further)) = text.split_at_checked(TRACEPARENT_BYTES) else { return false };
    let (version, trace, span, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let is_complete = further.is_empty() || (version != b"00" && further[0] == b'-' && further.is_ascii());
    let are_divided = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    are_divided
        && is_complete
        && is_hex(version)
        && version != b"ff"
        && is_id(trace)
        && is_id(span)
        && is_hex(flags)
}

fn is_state(tracestate: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b' '..=b'~');
    (1..=TraceContext::MAX_STATE_BYTES).contains(&tracestate.len()) && tracestate.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::headers::FREE_HEADERS;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_follows_the_recommendation() {
        let future = format!("cc{}-what-the-future-brings", &PARENT[2..]);
        for good in [PARENT, &PARENT.replace("-01", "-00"), &future] {
            assert_eq!(good.parse::<TraceContext>().unwrap().traceparent(), good);
        }
        let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("{PARENT} "),
            &PARENT.to_uppercase(),
            &format!("ff{}", &PARENT[2..]),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &zero_trace),
            &PARENT.replace("b7ad6b7169203331", &zero_span),
            &PARENT.replace("-01", "-0g"),
            "00-ää-b7ad6b7169203331-01",
        ] {
            let error = bad.parse::<TraceContext>().expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{bad}");
        }
    }

    #[test]
    fn a_malformed_context_of_a_message_starts_a_new_trace() {
        let message =
            |parent: &str| Message::new("orders.order", "{}").with_header(TRACEPARENT, parent.to_owned());
        assert_eq!(TraceContext::of(&Message::new("orders.order", "{}")), None);
        assert_eq!(TraceContext::of(&message("nonsense")), None);
        for state in ["a=1\n", &"x".repeat(513), ""] {
            let read = TraceContext::of(&message(PARENT).with_header(TRACESTATE, state.to_owned())).unwrap();
            assert_eq!((read.traceparent(), read.tracestate()), (PARENT, None));
        }
    }

    #[test]
    fn state_is_read_from_a_header_or_the_free_headers() {
        let message = Message::new("orders.order", "{}").with_header(TRACEPARENT, PARENT);
        let own = message.clone().with_header(TRACESTATE, "vendor=1");
        let free = message.with_header(FREE_HEADERS, r#"{"tracestate":"vendor=1"}"#);
        for message in [own, free] {
            let read = TraceContext::of(&message).unwrap();
            assert_eq!((read.tracestate(), read.is_sampled()), (Some("vendor=1"), true));
        }
    }
}
