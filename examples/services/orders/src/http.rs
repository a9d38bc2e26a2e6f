//! The HTTP routes: `POST /orders`, `GET /orders/{order_id}`, health and metrics.

use std::future::IntoFuture;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_admin::{Health, metrics_router};
use messagekit_telemetry::request_span;
use prometheus::Registry;
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::Instrument;

use crate::order::{Order, is_name};
use crate::orders::{Orders, Placed};
use crate::problem::Problem;

const BODY_LIMIT: usize = 16_384;
/// The time that requests in flight have after a shutdown was requested.
const GRACE: Duration = Duration::from_secs(5);

/// Answers requests until a shutdown is requested.
///
/// # Errors
/// Returns an error when it cannot listen on the address.
pub(crate) async fn serve(
    listen: SocketAddr,
    orders: Orders,
    registry: Registry,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let refused = |error: std::io::Error| {
        let text = "cannot listen: end what has this address, or name another in ORDERS_LISTEN";
        Error::new(ErrorKind::Unavailable, text).with("address", listen).caused_by(error)
    };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    // Ignore a closed stdout: the reader may have exited.
    writeln!(std::io::stdout(), "listening on http://{address}").ok();
    let serving = axum::serve(listener, routes(orders, registry))
        .with_graceful_shutdown(shutdown.clone().into_future());
    let patience = async {
        shutdown.requested().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended.map_err(refused),
        // A client that sends its request byte by byte must not keep the service alive.
        () = patience => Ok(()),
    }
}

fn routes(orders: Orders, registry: Registry) -> Router {
    let health = Health::new().store("orders", orders.store().clone());
    let of_orders = Router::new()
        .route("/orders", post(place))
        .route("/orders/{order_id}", get(show))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(trace))
        .with_state(Arc::new(orders));
    // Outside of the spans: a probe is no part of a trace.
    of_orders.merge(health.router()).merge(metrics_router(registry))
}

/// Runs a request inside its span, as a child of the caller's.
async fn trace(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let header = |name| request.headers().get(name)?.to_str().ok();
    let span = request_span(request.method().as_str(), route, header);
    next.run(request).instrument(span).await
}

#[derive(Serialize)]
struct Answer {
    order_id: String,
    event_id: String,
}

async fn place(
    State(orders): State<Arc<Orders>>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(order) = order?;
    order.check().map_err(|detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))?;
    let order_id = order.order_id.clone();
    match orders.place(order).await? {
        Placed::Now(event_id) => {
            let location = [(header::LOCATION, format!("/orders/{order_id}"))];
            let answer = Answer { order_id, event_id: event_id.to_string() };
            Ok((StatusCode::CREATED, location, Json(answer)).into_response())
        }
        Placed::Before => {
            Err(Problem::new(StatusCode::CONFLICT, "an order of this order_id is placed already"))
        }
        Placed::OverLimit => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the order is above the limit: nothing was placed",
        )),
    }
}

async fn show(
    State(orders): State<Arc<Orders>>,
    Path(order_id): Path<String>,
) -> Result<Json<Order>, Problem> {
    // Do not query for an impossible name: the database would refuse some of them.
    let order = if is_name(&order_id) { orders.find(order_id).await? } else { None };
    order.map(Json).ok_or(Problem::new(StatusCode::NOT_FOUND, "no order of this order_id is placed"))
}
