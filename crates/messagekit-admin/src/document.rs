//! The description of every operation, and the role that it needs.

use std::sync::LazyLock;

use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::caller::{allow, allow_services};
use crate::parameters::{Nothing, Query};
use crate::problem::Problem;
use crate::{
    Role, audit, consumers, doctor, events, failed_messages, health, metrics_page, rejected, replay, status,
    topics, unprefixed_paths,
};

const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "messagekit admin",
        description = "Failed messages, rejected events, replay, health and metrics. Every operation wants a token; its `security` names the weakest role that may use it."
    ),
    components(schemas(Problem, messagekit_wire::Failure)),
    tags(
        (name = "failed messages", description = "What could not be handled"),
        (name = "events", description = "One event, and those around it"),
        (name = "audit", description = "What operators did"),
        (name = "rejected events", description = "What the broker has refused on its publishing mode"),
        (name = "replay", description = "Publishing kept events again"),
        (name = "topics", description = "Topics for services in any language"),
        (name = "status", description = "All at a glance"),
        (name = "health", description = "Whether all is well"),
        (name = "earlier paths", description = "The shapes of earlier versions")
    )
)]
struct Description;

/// Returns all routes with the roles that they need: this function both documents and enforces them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    let viewers = failed_messages::for_viewers()
        .merge(events::for_viewers())
        .merge(audit::for_viewers())
        .merge(consumers::for_viewers())
        .merge(status::for_viewers())
        .merge(rejected::for_viewers())
        .merge(replay::for_viewers())
        .merge(unprefixed_paths::for_viewers())
        .merge(health::routes())
        .routes(utoipa_axum::routes!(metrics_page::metrics))
        .routes(utoipa_axum::routes!(openapi));
    let operators = failed_messages::for_operators()
        .merge(rejected::for_operators())
        .merge(replay::for_operators())
        .merge(unprefixed_paths::for_operators())
        .merge(doctor::for_operators());
    let mut routes = OpenApiRouter::with_openapi(Description::openapi())
        .merge(needs(Role::Viewer, viewers))
        .merge(needs(Role::Reader, failed_messages::for_readers()))
        .merge(needs(Role::Operator, operators))
        .merge(for_services(topics::for_services()));
    let scheme =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of this admin")).build();
    let components = routes.get_openapi_mut().components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    routes
}

/// Describe every operation, in the form of OpenAPI 3.1
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "openapi",
    responses((status = 200, body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi(_nothing: Query<Nothing>) -> Response {
    // It is the same for every caller, and consists of thousands of small parts.
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| routes().into_openapi().to_json().expect("a document of our own is JSON"));
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// These routes have a form of their own for errors.
fn for_services(mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, [Role::Service.as_str()])]);
            add_answers(operation, "Failure", "application/json");
        }
    }
    routes.route_layer(from_fn(allow_services))
}

fn needs(role: Role, mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, [role.as_str()])]);
            add_answers(operation, "Problem", "application/problem+json");
        }
    }
    routes.route_layer(from_fn_with_state(role, allow))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post].into_iter().flatten()
}

/// Adds the errors that every operation may return, in the form of a schema.
fn add_answers(operation: &mut Operation, schema: &str, content_type: &str) {
    let every = [
        ("400", "The request is not understood"),
        ("401", "There is no token that is known"),
        ("403", "The token's role may not do this, or a page of another site asked"),
        ("422", "The request is understood, and cannot be met"),
        ("500", "A fault of this program or its database"),
        ("503", "The database does not answer"),
        ("504", "No answer in time"),
    ];
    let sent = [("413", "The body is too large"), ("415", "The body is not JSON")];
    let reads = operation.request_body.is_some();
    let sent = sent.into_iter().filter(|(status, _)| reads || *status == "415");
    for (status, text) in every.into_iter().chain(sent) {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
            let schema = Ref::from_schema_name(schema);
            let content =
                ContentBuilder::new().schema(Some(RefOr::<utoipa::openapi::Schema>::Ref(schema))).build();
            let response = ResponseBuilder::new().description(text).content(content_type, content);
            RefOr::T(response.build())
        });
    }
}
