//! Commits a transaction and checks the result.

use futures_util::StreamExt;
use messagekit::{Error, ErrorKind, crash};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::PgTx;
use crate::error::{from_sqlx, is_lost, of};

/// Callers settle messages and answer clients after this commit. It therefore waits for the disk even if the database or
/// the role turns `synchronous_commit` off. A stricter setting stays.
///
/// The statements need one round trip. A plain COMMIT of a transaction that a failed statement has ended answers
/// "ROLLBACK", which sqlx reports as success. Here the SELECT fails instead, and the server skips the statements after
/// it. AND CHAIN keeps sqlx's count of transactions right: dropping `tx` rolls back the new, empty one.
const COMMIT: &str = "
SELECT CASE pg_catalog.current_setting('synchronous_commit')
  WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END; COMMIT AND CHAIN";

/// Losing this commit costs nothing: the work is repeated.
const UNHURRIED: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'off', true); COMMIT AND CHAIN";

/// Commits; returns `Ok` only when everything is durable.
pub(crate) async fn commit(tx: PgTx) -> Result<(), Error> {
    commit_by(tx, COMMIT).await
}

/// Commits without waiting for the disk.
pub(crate) async fn unhurried(tx: PgTx) -> Result<(), Error> {
    commit_by(tx, UNHURRIED).await
}

async fn commit_by(mut tx: PgTx, text: &'static str) -> Result<(), Error> {
    crash::point("store.before_commit");
    let mut was_alive = false;
    let mut answers = sqlx::raw_sql(text).fetch_many(&mut *tx);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(part) => was_alive |= part.is_right(),
            Err(error) => return Err(refused(error, was_alive)),
        }
    }
    crash::point("store.committed");
    Ok(())
}

/// Derives the state of the transaction from an error.
///
/// An error that leaves the connection alive is the server's answer: nothing was committed. An error that ends the
/// connection leaves the outcome unknown, unless it came before the answer to the SELECT: the server had not reached the
/// COMMIT then.
fn refused(error: sqlx::Error, was_alive: bool) -> Error {
    let answer = of(&error).map(PgDatabaseError::severity);
    match answer {
        Some(PgSeverity::Fatal | PgSeverity::Panic) if was_alive => unknown(error),
        Some(_) => from_sqlx(error),
        None => unknown(error),
    }
}

/// Classifies the error of a statement that commits by itself: without the server's answer, or with one that ends the connection, it may
/// have committed.
pub(crate) fn single(error: sqlx::Error) -> Error {
    match of(&error).map(PgDatabaseError::severity) {
        Some(PgSeverity::Fatal | PgSeverity::Panic) => unknown(error),
        None if is_lost(&error) => unknown(error),
        _ => from_sqlx(error),
    }
}

fn unknown(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "answer of the commit was lost: everything was kept, or nothing")
        .caused_by(error)
}
