//! The error of this crate, and the meaning of PostgreSQL's codes.

use std::error::Error as StdError;

use messagekit::ErrorKind;
use messagekit::adapter::TRANSACTION_ENDED;
use sqlx::postgres::PgDatabaseError;

use crate::read_only;

messagekit::adapter::adapter_error! {
    /// A failure of a connection or a statement.
    ///
    /// The text is one lowercase sentence without row values and without a password. The error of sqlx is the source.
    pub struct Error;
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self(from_sqlx(error))
    }
}

/// Classifies the error of a statement of this crate, and keeps it as the source.
pub(crate) fn from_sqlx(error: sqlx::Error) -> messagekit::Error {
    let code = of(&error).map(PgDatabaseError::code);
    let kind = match code {
        // In a user's own statement these codes are the user's mistakes. In ours they mean that the tables are not ours.
        Some("42P01" | "42703" | "42883" | "3F000") => ErrorKind::Schema,
        Some("42501") => ErrorKind::InvalidConfiguration,
        _ => kind_of(&error).unwrap_or(ErrorKind::Other),
    };
    let text = match (kind, code) {
        (ErrorKind::Aborted, _) => TRANSACTION_ENDED,
        (ErrorKind::Conflict, Some("40P01")) => {
            "another transaction holds what this one needs, and waits for it"
        }
        (ErrorKind::Conflict, _) => "another transaction holds or has changed what this one needs",
        (ErrorKind::TransactionTimeout, Some("25P03")) => {
            "transaction was idle for longer than the server allows"
        }
        (ErrorKind::TransactionTimeout, _) => {
            "statement was cut off by statement_timeout or by somebody's cancel"
        }
        (ErrorKind::Closed, _) => "store is closed",
        (ErrorKind::InvalidData, _) => "server refuses a value",
        (ErrorKind::Schema, _) => "tables are missing or differ from this program: run messagekit migrate",
        (ErrorKind::InvalidConfiguration, Some("42501")) => {
            "role lacks a right on the tables of messagekit: grant it"
        }
        (ErrorKind::Unavailable, Some(read_only::READ_ONLY)) => read_only::TEXT,
        (ErrorKind::Unavailable, None) if matches!(error, sqlx::Error::PoolTimedOut) => {
            "no connection was free or could be made in time: see that the database answers, or allow more connections"
        }
        (ErrorKind::Unavailable, Some(code)) if code.starts_with("53") => {
            "server has run out of disk, memory or connections: make room"
        }
        (ErrorKind::Unavailable, _) => "database does not answer",
        (_, Some("28P01" | "28000")) => {
            "server refuses the login: check user, password and its rules of access"
        }
        (_, None) if matches!(error, sqlx::Error::Protocol(_)) => {
            "what answers does not speak PostgreSQL's protocol: check host and port, and any proxy between"
        }
        _ => "statement was refused",
    };
    messagekit::Error::new(kind, text).caused_by(error)
}

/// Classifies one error of a chain; returns `None` for an error of the caller's own.
pub(crate) fn classify(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    if let Some(own) = error.downcast_ref::<Error>() {
        return Some(own.kind()).filter(|kind| *kind != ErrorKind::Other);
    }
    error.downcast_ref::<sqlx::Error>().and_then(kind_of)
}

/// Returns the server's error, if the server sent one.
pub(crate) fn of(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref())
}

/// Returns whether the connection is gone, so that another one may succeed.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match of(error).map(PgDatabaseError::code) {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "25P03",
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// As [`is_lost`], for an error of this crate.
pub(crate) fn lost(error: &messagekit::Error) -> bool {
    error.source().and_then(|source| source.downcast_ref()).is_some_and(is_lost)
}

/// Returns the kind of an error, and notes a session that only reads; `None` for a mistake in the statement or its values.
fn kind_of(error: &sqlx::Error) -> Option<ErrorKind> {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::BeginFailed => {
            return Some(ErrorKind::Unavailable);
        }
        sqlx::Error::PoolClosed => return Some(ErrorKind::Closed),
        _ => {}
    }
    let code = of(error)?.code();
    if code == read_only::READ_ONLY {
        read_only::note();
    }
    match code {
        "25P02" | "25P01" => Some(ErrorKind::Aborted),
        "40001" | "40P01" | "55P03" => Some(ErrorKind::Conflict),
        // The statement exceeded a limit of the server. A message alone in its transaction uses up an attempt; a batch
        // shrinks.
        "57014" | "25P03" | "25P04" => Some(ErrorKind::TransactionTimeout),
        "57P01" | "57P02" | "57P03" | "57P05" | read_only::READ_ONLY => Some(ErrorKind::Unavailable),
        // A data exception: text with a NUL, a number out of range, a division by zero.
        _ if code.starts_with("22") => Some(ErrorKind::InvalidData),
        _ if ["08", "53", "58"].iter().any(|class| code.starts_with(class)) => Some(ErrorKind::Unavailable),
        _ => None,
    }
}
