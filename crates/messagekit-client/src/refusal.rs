//! Answers that are none of success, as errors.

use hyper::StatusCode;
use messagekit::{Error, ErrorKind};
use messagekit_wire::Failure;

/// Returns the error of an answer. Its text is the server's, which has neither payloads nor the token.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> Error {
    let failure = serde_json::from_slice(body).unwrap_or_else(|_| Failure {
        error: "the server refused the request".to_owned(),
        code: "UNKNOWN".to_owned(),
        ..Failure::default()
    });
    let mut error = Error::new(kind(status, &failure.code), failure.error).with("status", status.as_u16());
    error = error.with("code", failure.code);
    let numbers = [
        ("partition", failure.partition_id.map(i64::from)),
        ("earliest", failure.earliest),
        ("next", failure.next),
        ("existing_id", failure.existing_id),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            error = error.with(name, number);
        }
    }
    error
}

/// Returns the kind: of the code, if it says more than the status.
fn kind(status: StatusCode, code: &str) -> ErrorKind {
    match (code, status) {
        ("CLAIM_LOST", _) => ErrorKind::ClaimLost,
        ("DUPLICATE", _) => ErrorKind::Duplicate,
        ("INVALID_RECORD", _) => ErrorKind::InvalidEvent,
        ("OFFSET_OUT_OF_RANGE", _) => ErrorKind::OutOfRange,
        (_, StatusCode::BAD_REQUEST) => ErrorKind::InvalidConfiguration,
        (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => ErrorKind::Unauthorized,
        (_, StatusCode::NOT_FOUND) => ErrorKind::NotFound,
        (_, StatusCode::CONFLICT) => ErrorKind::WrongState,
        (_, StatusCode::PAYLOAD_TOO_LARGE) => ErrorKind::TooLarge,
        (_, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => ErrorKind::Unavailable,
        // The server may have lost the answer of its database.
        (_, status) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            ErrorKind::OutcomeUnknown
        }
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_whether_to_try_again() {
        for (status, code, kind, is_transient) in [
            (400, "BAD_REQUEST", ErrorKind::InvalidConfiguration, false),
            (401, "UNAUTHORIZED", ErrorKind::Unauthorized, false),
            (403, "FORBIDDEN", ErrorKind::Unauthorized, false),
            (404, "NOT_FOUND", ErrorKind::NotFound, false),
            (409, "CLAIM_LOST", ErrorKind::ClaimLost, false),
            (409, "DUPLICATE", ErrorKind::Duplicate, false),
            (409, "CONFLICT", ErrorKind::WrongState, false),
            (413, "TOO_LARGE", ErrorKind::TooLarge, false),
            (416, "OFFSET_OUT_OF_RANGE", ErrorKind::OutOfRange, false),
            (422, "INVALID_RECORD", ErrorKind::InvalidEvent, false),
            (429, "TOO_MANY_REQUESTS", ErrorKind::Unavailable, true),
            (500, "INTERNAL_ERROR", ErrorKind::OutcomeUnknown, true),
            (503, "UNAVAILABLE", ErrorKind::OutcomeUnknown, true),
            (504, "TIMEOUT", ErrorKind::OutcomeUnknown, true),
        ] {
            let body = format!(r#"{{"error": "no", "code": "{code}"}}"#);
            let error = refused(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{status} {code}");
            assert_eq!(error.context("code"), Some(code));
        }
    }

    #[test]
    fn an_answer_of_another_program_is_not_repeated_in_the_error() {
        let error = refused(StatusCode::BAD_GATEWAY, b"<h1>hunter2</h1>");
        assert_eq!(error.to_string(), "the server refused the request (status 502, code UNKNOWN)");
        assert!(error.is_transient());
    }

    #[test]
    fn the_details_of_a_refusal_are_its_values() {
        let body = br#"{"error": "gone", "code": "OFFSET_OUT_OF_RANGE", "partition_id": 0, "earliest": 5, "next": 9}"#;
        let error = refused(StatusCode::RANGE_NOT_SATISFIABLE, body);
        assert_eq!((error.context("earliest"), error.context("next")), (Some("5"), Some("9")));
    }
}
