//! `POST /v1/api/sql`.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use messagekit::operations::Operator;
use messagekit_sql::{Answer, Command, SyntaxError, parse_script};
use messagekit_topics::operations::TopicOperations;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Body;
use super::group_names::GroupNames;
use super::served::topics;
use crate::Role;
use crate::app::App;
use crate::caller::Caller;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most statements of one request.
const MAX_STATEMENTS: usize = 100;

/// The bytes of the answers after which no other statement is run.
const MAX_ANSWER: usize = 8 << 20;

/// Statements.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sql {
    /// One statement, or several with semicolons between them: each runs by itself, and the first that fails ends the script.
    sql: String,
}

/// What the statements have answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SqlAnswer {
    /// `success` or `error`.
    status: &'static str,
    /// The answers of the statements that were run.
    #[schema(value_type = Vec<Object>)]
    results: Vec<Answer>,
    /// How long it took, in milliseconds.
    took: f64,
    /// Why the last statement was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<SqlError>,
}

/// Why a statement was not run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SqlError {
    code: String,
    message: String,
    /// The line of the statement and a mark under the token, if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<String>,
}

/// Why statements were not run: an answer with what was run before them, or what is wrong with the request.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands in the document only: each form is sent where it arises")]
enum SqlFailure {
    Answer(SqlAnswer),
    Request(messagekit_wire::Failure),
}

/// Run statements about topics
///
/// `CONSUME` and `ACK` are for services, all others for administrators.
#[utoipa::path(
    post, path = "/v1/api/sql", tag = "topics", operation_id = "run_sql",
    params(Which), request_body = Sql,
    responses(
        (status = 200, body = SqlAnswer),
        (status = 400, description = "The request or a statement is not understood", body = SqlFailure),
        (status = 403, description = "The token's role may not do this, or the token has used 1,000 groups", body = SqlFailure),
        (status = 404, description = "No such topic, partition or database", body = SqlFailure),
        (status = 409, description = "The state of the topic does not allow it", body = SqlAnswer),
        (status = 413, description = "The body is too large, or the answers would be", body = SqlFailure),
        (status = 416, description = "The records at this offset were deleted", body = SqlAnswer),
        (status = 422, description = "A statement is understood, and cannot be met", body = SqlFailure),
        (status = 500, description = "A fault of this program or its database", body = SqlFailure),
        (status = 503, description = "The database does not answer", body = SqlFailure),
        (status = 504, description = "No answer in time", body = SqlFailure)
    )
)]
pub(super) async fn run(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
    Body(body): Body<Sql>,
) -> Result<Response, Failure> {
    let began = Instant::now();
    let topics = topics(&app, &which)?;
    let mut results = Vec::new();
    let done = run_all(&*topics, &body.sql, (&app.group_names, &caller), &mut results).await;
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    let Err(refused) = done else {
        let answer = SqlAnswer { status: "success", results, took, error: None };
        return Ok(Json(answer).into_response());
    };
    let Refused { failure, details } = *refused;
    let (status, code, message) = failure.into_parts();
    let error = Some(SqlError { code, message, details });
    Ok((status, Json(SqlAnswer { status: "error", results, took, error })).into_response())
}

/// Runs statements up to the first that fails, and adds the answer of each.
async fn run_all(
    topics: &dyn TopicOperations,
    sql: &str,
    (group_names, caller): (&GroupNames, &Caller),
    results: &mut Vec<Answer>,
) -> Result<(), Box<Refused>> {
    let mut bytes = 0;
    for command in checked(sql, caller.role)? {
        if bytes > MAX_ANSWER {
            return Err(Refused::of(too_much()));
        }
        log(caller, &command);
        let answer = messagekit_sql::run(topics, &command);
        let answer =
            group_names.using(&caller.name, command.used_group(), answer).await.map_err(Refused::of)?;
        let answer = answer.map_err(|error| Refused::of(Failure::of(&error)))?;
        if let Command::DropGroup(dropped) = &command {
            group_names.forget(&dropped.group);
        }
        bytes += bytes_of(&answer);
        results.push(answer);
    }
    Ok(())
}

/// The audit keeps actions on messages. What changes topics is in the log, from before the change: a caller may leave meanwhile.
fn log(caller: &Caller, command: &Command) {
    if command.is_change() {
        let Operator { name, request_id, .. } = caller.operator();
        // Its text is the operator's own, and may hold a line break.
        tracing::info!(operator = name, request_id, statement = ?command.to_string(), "statement begins");
    }
}

fn too_much() -> Failure {
    let text = format!(
        "the answers have more than {MAX_ANSWER} bytes: send the statements behind them by themselves"
    );
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", text)
}

/// Only texts can be long.
fn bytes_of(answer: &Answer) -> usize {
    answer.rows.iter().flatten().filter_map(Value::as_str).map(str::len).sum()
}

/// Why a statement is not run, with the place at which it cannot be read.
struct Refused {
    failure: Failure,
    details: Option<String>,
}

impl Refused {
    fn of(failure: Failure) -> Box<Self> {
        Box::new(Self { failure, details: None })
    }
}

/// Nothing runs unless everything can be read, and may be run by the caller.
fn checked(sql: &str, role: Role) -> Result<Vec<Command>, Box<Refused>> {
    let unread = |error: SyntaxError| {
        let failure = Failure::new(StatusCode::BAD_REQUEST, "SYNTAX_ERROR", error.to_string());
        Box::new(Refused { failure, details: Some(error.snippet().to_owned()) })
    };
    let commands = parse_script(sql).map_err(unread)?;
    if commands.is_empty() {
        return Err(Refused::of(Failure::bad_request("there is no statement")));
    }
    if commands.len() > MAX_STATEMENTS {
        return Err(Refused::of(Failure::bad_request(format!("more than {MAX_STATEMENTS} statements"))));
    }
    let is_allowed = |command: &Command| role == Role::Admin || command.is_for_services();
    if !commands.iter().all(is_allowed) {
        let text = format!("this statement needs role {}; the token has role {role}", Role::Admin);
        return Err(Refused::of(Failure::forbidden(text)));
    }
    Ok(commands)
}
