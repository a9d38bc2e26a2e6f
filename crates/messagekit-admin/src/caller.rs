//! Authentication and authorisation of callers.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use messagekit::operations::Operator;

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::{Role, Tokens};

/// The sender of a request with a known token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    request: Option<RequestId>,
}

impl Caller {
    /// Returns the operator for the audit.
    pub(crate) fn operator(&self) -> Operator {
        let request_id = self.request.as_ref().map(|id| id.as_str().to_owned());
        Operator { request_id, ..Operator::new(&*self.name, "http") }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(stranger)
    }
}

fn stranger() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "send a token that is known as Authorization: Bearer TOKEN")
}

/// Rejects every request without a known token, whatever its path: a stranger must not learn which paths exist.
pub(crate) async fn authenticate(State(tokens): State<Tokens>, mut request: Request, next: Next) -> Response {
    let mut shown = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (shown.next(), shown.next()) else { return stranger().into_response() };
    let secret = only.to_str().ok().and_then(|text| text.split_once(' '));
    let secret = secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, secret)| secret);
    let Some((name, role)) = secret.and_then(|secret| tokens.find(secret)) else {
        return stranger().into_response();
    };
    let caller = Caller { name, role, request: request.extensions().get().cloned() };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Rejects callers that are neither services nor administrators.
pub(crate) async fn allow_services(caller: Caller, request: Request, next: Next) -> Response {
    if matches!(caller.role, Role::Service | Role::Admin) {
        return next.run(request).await;
    }
    let (service, admin) = (Role::Service, Role::Admin);
    let text = format!("this needs role {service} or {admin}; the token has role {}", caller.role);
    Problem::new(StatusCode::FORBIDDEN, text).into_response()
}

/// Rejects callers with a weaker role.
pub(crate) async fn allow(
    State(needed): State<Role>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    if caller.role >= needed {
        return next.run(request).await;
    }
    let text = format!("this needs role {needed}; the token has role {}", caller.role);
    Problem::new(StatusCode::FORBIDDEN, text).into_response()
}
