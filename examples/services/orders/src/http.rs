//! The HTTP routes: `POST /orders` and `GET /orders/{order_id}`.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use messagekit_telemetry::request_span;
use serde::Serialize;
use tracing::Instrument;

use crate::order::{Order, is_name};
use crate::orders::{Orders, Placed};
use crate::problem::Problem;

const BODY_LIMIT: usize = 16_384;

/// The routes of the service.
pub(crate) fn routes(orders: Orders) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{order_id}", get(show))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(trace))
        .with_state(Arc::new(orders))
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
