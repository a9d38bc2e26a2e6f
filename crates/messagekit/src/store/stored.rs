//! Errors and conversions of stored rows, which all stores share.

use std::fmt::Display;
use std::str::FromStr;

use crate::marker_outcome::MarkerOutcome;
use crate::{Error, ErrorKind, Headers, MessageId};

/// The text of the error of a statement after the database has ended its transaction.
pub const TRANSACTION_ENDED: &str = "transaction had ended before this statement";

/// Reads a word of a stored failed message, with its number if the row has one. `column` names the word, such as `state`.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for a word that this program does not know. A retry does not help.
pub fn stored_word<T: FromStr<Err = Error>>(
    id: impl Into<Option<i64>>,
    column: &'static str,
    word: &str,
) -> Result<T, Error> {
    word.parse().map_err(|cause: Error| {
        let error = Error::new(ErrorKind::Corrupt, format!("stored failed message has an unknown {column}"));
        let error = error.caused_by(cause);
        match id.into() {
            Some(id) => error.with("failed_message", id),
            None => error,
        }
    })
}

/// Reads the outcome of a stored marker.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for an outcome that this program does not know. A retry does not help.
pub fn stored_outcome(word: &str) -> Result<MarkerOutcome, Error> {
    MarkerOutcome::ALL.into_iter().find(|known| known.as_str() == word).ok_or_else(|| unknown_outcome(word))
}

/// Creates the error for a marker whose outcome this program does not know.
pub fn unknown_outcome(outcome: impl Display) -> Error {
    Error::new(ErrorKind::Corrupt, "stored marker has an unknown outcome").with("outcome", outcome)
}

/// Creates the error for a message that is set aside again although its failed message is open: its marker was deleted by hand.
pub fn lost_marker(id: &MessageId) -> Error {
    let text = "message has an open failed message but no marker: restore the marker or the failed message";
    Error::new(ErrorKind::Corrupt, text).with("id", id)
}

/// Writes headers as a store keeps them: a JSON list of pairs.
///
/// # Errors
/// [`ErrorKind::Other`] if JSON cannot hold them. A retry does not help.
pub fn headers_to_json(headers: &Headers) -> Result<String, Error> {
    serde_json::to_string(headers)
        .map_err(|error| Error::new(ErrorKind::Other, "headers cannot be written as JSON").caused_by(error))
}

/// Reads headers that [`headers_to_json`] has written.
///
/// # Errors
/// [`ErrorKind::Corrupt`] with the column of the text. A retry does not help.
pub fn headers_from_json(json: impl AsRef<[u8]>) -> Result<Headers, Error> {
    // The cause would quote values, so report only its location.
    serde_json::from_slice(json.as_ref()).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored headers are not a list of pairs")
            .with("column", error.column())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_headers_are_named_without_their_values() {
        let error = headers_from_json(r#"[["a", "secret"], 7]"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(!crate::chain(&error).contains("secret"));
    }
}
