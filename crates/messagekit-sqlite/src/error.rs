//! The error of this crate, and the meaning of SQLite's codes.

use std::error::Error as StdError;

use messagekit::ErrorKind;
use messagekit::adapter::TRANSACTION_ENDED;
use rusqlite::ErrorCode;
use rusqlite::ffi;

messagekit::adapter::adapter_error! {
    /// A failure of the file or of a statement.
    ///
    /// The text is one lowercase sentence. An error that a closure of [`call`](crate::SqliteTx::call) returned is the source;
    /// downcast it to tell a constraint from a mistake in the statement.
    pub struct Error;
}

/// The store was closed, or its last handle is gone.
pub(crate) fn closed() -> messagekit::Error {
    messagekit::Error::new(ErrorKind::Closed, "store was closed")
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self(from_sqlite(error))
    }
}

/// Classifies SQLite's error and keeps it as the source.
pub(crate) fn from_sqlite(error: rusqlite::Error) -> messagekit::Error {
    let kind = kind_of(&error).unwrap_or(ErrorKind::Other);
    let text = match kind {
        ErrorKind::Conflict => "another process holds the write lock of the file",
        ErrorKind::TransactionTimeout => {
            "statement was cut off: its transaction held the write lock for too long; do less in it, or set a longer \
             `transaction_timeout` in the options of the store"
        }
        ErrorKind::Aborted => TRANSACTION_ENDED,
        ErrorKind::Corrupt => "file is damaged or is not a database",
        ErrorKind::Schema => "tables are missing: run the migrations",
        ErrorKind::Unavailable => match error.sqlite_error_code() {
            // On a disk that is really full a DELETE fails too, because the log has to grow before the file can shrink.
            Some(ErrorCode::DiskFull) => "disk is full: make room outside the file",
            Some(ErrorCode::ReadOnly) => "file cannot be written",
            Some(ErrorCode::CannotOpen) => "file cannot be opened",
            _ => "file cannot be read or written",
        },
        _ => "statement was refused",
    };
    messagekit::Error::new(kind, text).caused_by(error)
}

/// Keeps the error of a user's closure, with the kind that its chain reveals.
pub(crate) fn from_closure(error: Box<dyn StdError + Send + Sync>) -> messagekit::Error {
    let error = match error.downcast::<rusqlite::Error>() {
        Ok(error) => return from_sqlite(*error),
        Err(error) => error,
    };
    let error = match error.downcast::<Error>() {
        Ok(error) => return error.0,
        Err(error) => error,
    };
    match error.downcast::<messagekit::Error>() {
        Ok(error) => *error,
        Err(error) => {
            let kind = kind_in_chain(&*error).unwrap_or(ErrorKind::Other);
            messagekit::Error::new(kind, error.to_string()).caused_by(error)
        }
    }
}

fn kind_in_chain(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<messagekit::Error>() {
            return Some(own.kind());
        }
        if let Some(kind) = classify(error) {
            return Some(kind);
        }
        next = error.source();
    }
    None
}

/// Classifies one error of a chain; returns `None` for an error of the caller's own.
pub(crate) fn classify(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    if let Some(own) = error.downcast_ref::<Error>() {
        return Some(own.kind()).filter(|kind| *kind != ErrorKind::Other);
    }
    error.downcast_ref::<rusqlite::Error>().and_then(kind_of)
}

/// Returns the kind of SQLite's error, or `None` for a mistake in the statement or its values.
fn kind_of(error: &rusqlite::Error) -> Option<ErrorKind> {
    let rusqlite::Error::SqliteFailure(failure, text) = error else {
        let rusqlite::Error::SqlInputError { msg, .. } = error else { return None };
        return is_missing_table(msg).then_some(ErrorKind::Schema);
    };
    // The commit hook vetoes a statement that would commit by itself after an automatic rollback.
    if failure.extended_code == ffi::SQLITE_CONSTRAINT_COMMITHOOK {
        return Some(ErrorKind::Aborted);
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(ErrorKind::Conflict),
        // Only the progress handler interrupts statements; it enforces the transaction timeout.
        ErrorCode::OperationInterrupted => Some(ErrorKind::TransactionTimeout),
        ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Some(ErrorKind::Unavailable),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(ErrorKind::Corrupt),
        ErrorCode::OperationAborted => Some(ErrorKind::Aborted),
        _ => text.as_deref().is_some_and(is_missing_table).then_some(ErrorKind::Schema),
    }
}

fn is_missing_table(text: &str) -> bool {
    text.contains("no such table: messagekit_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn codes_say_what_a_caller_can_do() {
        for (code, kind) in [
            (ffi::SQLITE_BUSY, Some(ErrorKind::Conflict)),
            (ffi::SQLITE_LOCKED, Some(ErrorKind::Conflict)),
            (ffi::SQLITE_FULL, Some(ErrorKind::Unavailable)),
            (ffi::SQLITE_IOERR_WRITE, Some(ErrorKind::Unavailable)),
            (ffi::SQLITE_CANTOPEN, Some(ErrorKind::Unavailable)),
            (ffi::SQLITE_INTERRUPT, Some(ErrorKind::TransactionTimeout)),
            (ffi::SQLITE_CONSTRAINT_COMMITHOOK, Some(ErrorKind::Aborted)),
            (ffi::SQLITE_CORRUPT, Some(ErrorKind::Corrupt)),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, None),
            (ffi::SQLITE_AUTH, None),
        ] {
            assert_eq!(classify(&failure(code)), kind, "code {code}");
        }
    }

    #[test]
    fn a_closures_own_error_is_kept_and_its_cause_decides_the_kind() {
        let own = from_closure("no stock left".into());
        assert_eq!((own.kind(), own.to_string()), (ErrorKind::Other, "no stock left".to_owned()));
        assert!(classify(&Error(own)).is_none());

        let busy = messagekit::adapter::TransactError::Begin(from_sqlite(failure(ffi::SQLITE_BUSY)));
        assert_eq!(from_closure(Box::new(busy)).kind(), ErrorKind::Conflict);
    }
}
