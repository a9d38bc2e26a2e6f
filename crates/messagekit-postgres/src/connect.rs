//! Opens connections, takes live ones from a pool, and reports why a server cannot be used with its repair.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use sqlx::{ConnectOptions, Connection as _, PgConnection, PgPool, Postgres};

use crate::address::shown_host;
use crate::error::{from_sqlx, is_lost, lost, of};

/// Connects within a time limit; an error names the repair.
pub(crate) async fn connect_within(
    options: &PgConnectOptions,
    limit: Duration,
) -> Result<PgConnection, Error> {
    let at = format!("{}:{}", shown_host(options.get_host()), options.get_port());
    let error = match tokio::time::timeout(limit, options.connect()).await {
        Ok(Ok(connection)) => {
            check_version(connection.server_version_num(), &at)?;
            return Ok(connection);
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let text =
                format!("PostgreSQL at {at} does not answer within {limit:?}: start it or correct the URL");
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
    };
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let (kind, text) = match (of(&error).map(PgDatabaseError::code), &error) {
        (Some("28P01" | "28000"), _) => (
            ErrorKind::InvalidConfiguration,
            format!("PostgreSQL at {at} does not let user {user:?} in: correct user and password in the URL"),
        ),
        (Some("3D000"), _) => (
            ErrorKind::InvalidConfiguration,
            format!("there is no database {database:?} at {at}: create it or correct the URL"),
        ),
        (Some("42501"), _) => (
            ErrorKind::InvalidConfiguration,
            format!("user {user:?} may not connect to database {database:?} at {at}: grant CONNECT on it"),
        ),
        // The server side rejects a startup parameter: a pooler accepts only those in its configuration.
        (Some("08P01"), _) => (
            ErrorKind::InvalidConfiguration,
            format!(
                "{at} refuses the settings of the connection: with a pooler between, connect to PostgreSQL itself, or give \
                 a pool of your own to `PostgresOptions::pool`"
            ),
        ),
        (_, sqlx::Error::Configuration(_)) => {
            (ErrorKind::InvalidConfiguration, format!("settings of the connection to {at} cannot work"))
        }
        (None, sqlx::Error::Tls(_)) => (
            ErrorKind::InvalidConfiguration,
            format!("TLS with {at} fails: correct sslmode or the certificates"),
        ),
        (None, _) => (
            ErrorKind::Unavailable,
            format!("PostgreSQL at {at} does not answer: start it or correct the URL"),
        ),
        (Some(_), _) => return Err(from_sqlx(error).with("server", at)),
    };
    Err(Error::new(kind, text).caused_by(error))
}

/// The oldest server version that these statements support.
const OLDEST_SERVER: u32 = 150_000;

fn check_version(version: Option<u32>, at: &str) -> Result<(), Error> {
    // A pooler may hide the version.
    match version {
        Some(version) if version < OLDEST_SERVER => {
            let (is, needed) = (version / 10_000, OLDEST_SERVER / 10_000);
            let text = format!("PostgreSQL at {at} is of version {is}: {needed} or newer is needed");
            Err(Error::new(ErrorKind::InvalidConfiguration, text))
        }
        _ => Ok(()),
    }
}

/// Takes a live connection: the pool also hands out connections that the server has closed.
pub(crate) async fn live(pool: &PgPool) -> Result<PoolConnection<Postgres>, Error> {
    let mut stale = pool.size();
    loop {
        let mut connection = pool.acquire().await.map_err(from_sqlx)?;
        match connection.ping().await {
            Ok(()) => return Ok(connection),
            Err(error) if stale > 0 && is_lost(&error) => stale -= 1,
            Err(error) => return Err(from_sqlx(error)),
        }
    }
}

/// Runs work on a connection, and on another one when the server has closed it: without the round trip of [`live`]. The work must be
/// safe to repeat.
pub(crate) async fn on_live<T, F>(
    pool: &PgPool,
    work: impl Fn(PoolConnection<Postgres>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut stale = pool.size();
    loop {
        match work(pool.acquire().await.map_err(from_sqlx)?).await {
            Err(error) if stale > 0 && lost(&error) => stale -= 1,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_that_is_too_old_is_refused_by_name() {
        let refused = check_version(Some(140_012), "db:5432").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
        assert_eq!(refused.to_string(), "PostgreSQL at db:5432 is of version 14: 15 or newer is needed");
        for known in [Some(150_000), Some(180_001), None] {
            check_version(known, "db:5432").unwrap();
        }
    }
}
