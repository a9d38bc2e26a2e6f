//! Separate connections for work on the schema: opened, used and closed, never from a pool.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::address::Address;
use crate::connect;
use crate::error::{from_sqlx, of};

/// Parses a URL. Errors do not repeat it, because it may hold a password.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    Ok(quiet(Address::read(url)?.options))
}

pub(crate) async fn open(url: &str) -> Result<PgConnection, Error> {
    let address = Address::read(url)?;
    connect::connect_within(&quiet(address.options), address.limit).await
}

fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("messagekit").disable_statement_logging()
}

/// A failed close changes nothing: the result is already known.
pub(crate) async fn close(conn: PgConnection) {
    let _ = tokio::time::timeout(Duration::from_secs(1), conn.close()).await;
}

/// Describes a failed statement for the database's administrator.
pub(crate) fn fault(error: sqlx::Error) -> Error {
    match code(&error) {
        Some("42501") => {
            let text = "a right is missing: use the owner of the database and of the schema";
            Error::new(ErrorKind::Other, text).caused_by(error)
        }
        _ => from_sqlx(error),
    }
}

/// Returns the SQLSTATE.
pub(crate) fn code(error: &sqlx::Error) -> Option<&str> {
    of(error).map(PgDatabaseError::code)
}
