//! Reading the bodies of requests about topics.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body;
use crate::failure::Failure;

/// Extracts a JSON object, which may hold lists.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = body::bytes(request).await?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::bad_request(format!("the body is not JSON, at line {line} column {column}"))
        })?;
        // serde reads a list as an object, field by position.
        if !value.is_object() {
            return Err(Failure::bad_request("the body is no JSON object"));
        }
        serde_json::from_value(value).map(Self).map_err(|error| {
            let what = without_values(&error.to_string());
            Failure::bad_request(format!("the body is not what this operation takes: {what}"))
        })
    }
}

/// Returns an error of serde without what the client sent: it quotes values, and names that are not known.
fn without_values(error: &str) -> String {
    let what = match error {
        _ if error.starts_with("unknown field") => "a field is not known",
        _ if error.starts_with("unknown variant") => "a word is not known",
        _ if error.starts_with("invalid") => "a field is not what is expected",
        _ => return error.to_owned(),
    };
    match error.rsplit_once("expected ") {
        Some((_, expected)) => format!("{what}: expected {expected}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Fail,
        Latest,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        number: i32,
        #[serde(default)]
        word: Option<Word>,
    }

    #[test]
    fn an_error_names_what_is_expected_and_nothing_sent() {
        for (body, expected) in [
            (json!({}), "missing field `number`"),
            (json!({"number": "zzq expected zzq"}), "a field is not what is expected: expected i32"),
            (json!({"number": 1_i64 << 40}), "a field is not what is expected: expected i32"),
            (json!({"number": 1, "zzq": 2}), "a field is not known: expected `number` or `word`"),
            (json!({"number": 1, "word": "zzq"}), "a word is not known: expected `fail` or `latest`"),
        ] {
            let error = serde_json::from_value::<Sample>(body).unwrap_err();
            assert_eq!(without_values(&error.to_string()), expected);
        }
    }
}
