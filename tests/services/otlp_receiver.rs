//! A receiver of traces and metrics: OTLP over HTTP, with the messages of the protocol.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

/// A received span. Ids are hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// The service that sent it.
    pub service: String,
    /// For example `process orders.order`.
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// The trace that it belongs to.
    pub trace_id: String,
    /// Its own id.
    pub span_id: String,
    /// The id of its parent, empty for a root.
    pub parent: String,
    /// Its attributes as texts.
    pub attributes: BTreeMap<String, String>,
    /// Linked spans: trace and span.
    pub links: Vec<(String, String)>,
    /// Whether it failed.
    pub is_error: bool,
    /// The description of its status, empty without one.
    pub status: String,
    /// Begin and end in nanoseconds since 1970.
    pub time: (u64, u64),
}

impl Span {
    /// Returns an attribute, or an empty text.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A received value of a counter or a gauge.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The process that sent it.
    pub resource: BTreeMap<String, String>,
    /// For example `messagekit_consumer_handled_total`.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    metrics: Vec<Measured>,
    bodies: Vec<u8>,
    lost: usize,
    headers: HeaderMap,
}

/// Listens on a port of its own until it is dropped.
#[derive(Clone, Debug)]
pub struct OtlpReceiver {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl OtlpReceiver {
    /// Starts the receiver on the current runtime.
    ///
    /// # Panics
    /// Panics if it cannot listen.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts it at an address.
    ///
    /// # Panics
    /// Panics if it cannot listen there.
    pub async fn start_at(address: SocketAddr) -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let app = Router::new()
            .route("/v1/traces", post(accept))
            .route("/v1/metrics", post(accept_metrics))
            .route("/moved", post(async || (StatusCode::FOUND, [("location", "/v1/metrics")])))
            .route("/page", post(async || "<title>not a receiver</title>"))
            .route("/full", post(refuse_some))
            .fallback(count_lost)
            .with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, received }
    }

    /// Returns the address for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all spans until now, in the order of their begin.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.received().spans.clone();
        spans.sort_by_key(|span| span.time);
        spans
    }

    /// Returns the spans of a trace, in the order of their begin.
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect()
    }

    /// Returns the values of counters and gauges until now, the newest last.
    pub fn metrics(&self) -> Vec<Measured> {
        self.received().metrics.clone()
    }

    /// Returns how many requests came to a path that takes nothing. `/moved` redirects to where metrics are taken, `/page` answers with a
    /// page, `/full` rejects two values of each request.
    pub fn lost(&self) -> usize {
        self.received().lost
    }

    /// Returns whether a text stands anywhere in what was sent.
    pub fn contains(&self, text: &str) -> bool {
        self.received().bodies.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Returns a header of the last request.
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.received().headers.get(name)?.to_str().ok()?.to_owned())
    }

    fn received(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(State(received): State<Arc<Mutex<Received>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(&*body) else { return StatusCode::BAD_REQUEST };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    received.bodies.extend_from_slice(&body);
    received.headers = headers;
    for of_service in request.resource_spans {
        let resource = of_service.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| read(&service, span)));
    }
    StatusCode::OK
}

async fn count_lost(State(received): State<Arc<Mutex<Received>>>) -> StatusCode {
    received.lock().unwrap_or_else(PoisonError::into_inner).lost += 1;
    StatusCode::NOT_FOUND
}

async fn refuse_some() -> Vec<u8> {
    let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: 2, ..Default::default() });
    ExportMetricsServiceResponse { partial_success }.encode_to_vec()
}

async fn accept_metrics(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(&*body) else { return StatusCode::BAD_REQUEST };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    received.bodies.extend_from_slice(&body);
    received.headers = headers;
    for of_process in request.resource_metrics {
        let resource = of_process.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        for metric in of_process.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let points = match metric.data {
                Some(Data::Sum(sum)) => sum.data_points,
                Some(Data::Gauge(gauge)) => gauge.data_points,
                _ => Vec::new(),
            };
            received.metrics.extend(points.into_iter().map(|point| Measured {
                resource: resource.clone(),
                name: metric.name.clone(),
                labels: texts(point.attributes),
                value: match point.value {
                    Some(Number::AsDouble(value)) => value,
                    other => panic!("{} is no double: {other:?}", metric.name),
                },
            }));
        }
    }
    StatusCode::OK
}

fn read(service: &str, span: otlp::Span) -> Span {
    Span {
        service: service.to_owned(),
        name: span.name,
        kind: span.kind,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        is_error: span.status.as_ref().is_some_and(|it| it.code == otlp::status::StatusCode::Error as i32),
        status: span.status.map(|status| status.message).unwrap_or_default(),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let text = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(is)) => is.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key, text)
    };
    attributes.into_iter().map(text).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
