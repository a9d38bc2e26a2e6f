//! Reading the bodies of requests about topics.

use axum::extract::{FromRequest, Request};
use messagekit_topics::parse_json;
use serde::de::DeserializeOwned;

use crate::body;
use crate::failure::Failure;

/// Extracts a JSON object, which may hold lists.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = body::bytes(request).await?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            Failure::bad_request(format!("the body is not UTF-8, at byte {}", error.valid_up_to()))
        })?;
        let json = parse_json(text)
            .map_err(|error| Failure::bad_request(format!("the body cannot be read: {error}")))?;
        // serde reads a list as an object, field by position.
        if !json.get().starts_with('{') {
            return Err(Failure::bad_request("the body is no JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_str(json.get());
        serde_path_to_error::deserialize(&mut reader).map(Self).map_err(|error| {
            let what = without_values(&error);
            Failure::bad_request(format!("the body is not what this operation takes: {what}"))
        })
    }
}

/// Returns an error of serde without what the client sent: it quotes values, and names that are not known.
fn without_values(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, error) = (error.path().to_string(), error.inner().to_string());
    let what = match &*error {
        _ if error.starts_with("unknown field") => "a field is not known".to_owned(),
        _ if error.starts_with("unknown variant") => "a word is not known".to_owned(),
        // Only a field of ours has a type to be wrong about.
        _ if error.starts_with("invalid") => format!("{path} is not what is expected"),
        _ => return error,
    };
    match error.rsplit_once("expected ") {
        Some((_, expected)) => format!("{what}: expected {expected}"),
        None => what,
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
        #[serde(default)]
        words: Option<Word>,
    }

    #[test]
    fn an_error_names_what_is_expected_and_nothing_sent() {
        for (body, expected) in [
            (json!({}), "missing field `number`"),
            (json!({"number": "zzq expected zzq"}), "number is not what is expected: expected i32"),
            (json!({"number": 1_i64 << 40}), "number is not what is expected: expected i32"),
            (
                json!({"number": 1, "word": {"fail": "zzq"}}),
                "word.fail is not what is expected: expected unit",
            ),
            (
                json!({"number": 1, "words": {"zzq": ["zzq"]}}),
                "a word is not known: expected `fail` or `latest`",
            ),
            (
                json!({"number": 1, "words": {"zzq": 5, "yyq": 7}}),
                "words is not what is expected: expected map with a single key",
            ),
            (
                json!({"number": 1, "zzq": 2}),
                "a field is not known: expected one of `number`, `word`, `words`",
            ),
            (json!({"number": 1, "word": "zzq"}), "a word is not known: expected `fail` or `latest`"),
        ] {
            let error = serde_path_to_error::deserialize::<_, Sample>(body).unwrap_err();
            assert_eq!(without_values(&error), expected);
        }
    }
}
