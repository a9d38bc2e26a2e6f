//! Examines a database and its server.

mod capture;
mod checks;
mod clock;
mod groups;
mod publishing;
mod rights;
mod schema;
mod settings;
mod sources;
mod target;
mod transactions;
mod unhandled;
mod vacuum;
mod windows;

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{Check, DedupReach, Diagnosis, Doctor, Repair, SERVICE_UNREACHABLE};
use messagekit::{Error, ErrorKind, chain};
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::Instant;

use crate::migrations::connection;
use crate::{PostgresStore, connect};
use schema::Tables;
use target::Target;

/// The time limit of one statement, so that a locked or huge table delays no other check for long.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

/// The time limit of all statements together. An admin waits for 20 seconds, and what was found by then is shown.
const LIMIT: Duration = Duration::from_secs(8);

impl Doctor for PostgresStore {
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        Box::pin(async move {
            let target = Target::of(self);
            let mut diagnosis = Diagnosis::of(checks::ALL.iter().copied().flatten().copied());
            match examine(&target, &mut diagnosis).await {
                Ok(reach) => diagnosis.dedup_reach = reach,
                Err(error) => {
                    let text = chain(&error);
                    let (what, cure) = text.split_once(": ").unwrap_or((&text, "see the log of PostgreSQL"));
                    let repair = [Repair::Manual(cure.to_owned())];
                    diagnosis.found(&SERVICE_UNREACHABLE, &target.name, what, repair);
                    let others = diagnosis.checks.clone().into_iter();
                    let others = others.filter(|check| **check != SERVICE_UNREACHABLE);
                    diagnosis.not_checked(others, "the database does not answer");
                }
            }
            diagnosis
        })
    }
}

/// Uses a connection of its own: the settings of the pool would hide those of the role.
async fn examine(target: &Target, diagnosis: &mut Diagnosis) -> Result<Vec<DedupReach>, Error> {
    let limit = [("statement_timeout", STATEMENT_LIMIT.as_millis().to_string())];
    let options = target.options.clone().options(limit).disable_statement_logging();
    let mut conn = connect::connect_within(&options, target.connecting).await?;
    let until = Instant::now() + LIMIT;
    let read = every(&mut conn, target, until, diagnosis).await;
    connection::close(conn).await;
    Ok(read)
}

/// Makes a part of the examination in the time that is left.
async fn made<T>(until: Instant, part: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout_at(until, part).await.unwrap_or_else(|_| {
        let text =
            format!("the examination has taken {LIMIT:?}: see what the database is busy with, and repeat it");
        Err(Error::new(ErrorKind::Unavailable, text))
    })
}

async fn every(
    conn: &mut PgConnection,
    target: &Target,
    until: Instant,
    diagnosis: &mut Diagnosis,
) -> Vec<DedupReach> {
    let part = made(until, clock::look(conn, target, diagnosis)).await;
    missed(part, checks::CLOCK, diagnosis);
    let part = made(until, settings::look(conn, target, diagnosis)).await;
    missed(part, checks::SETTINGS, diagnosis);
    let part = made(until, transactions::look(conn, target, diagnosis)).await;
    missed(part, checks::TRANSACTIONS, diagnosis);
    let tables = made(until, schema::look(conn, target, diagnosis)).await;
    let tables = missed(tables, checks::SCHEMA, diagnosis);
    if tables != Some(Tables::Usable) {
        diagnosis.not_checked_on_tables(checks::ON_TABLES.iter().copied().flatten().copied());
        return Vec::new();
    }
    let part = made(until, capture::look(conn, target, diagnosis)).await;
    missed(part, checks::CAPTURE, diagnosis);
    let part = made(until, publishing::look(conn, target, diagnosis)).await;
    missed(part, checks::PUBLISHING, diagnosis);
    let part = made(until, sources::look(conn, target, diagnosis)).await;
    missed(part, checks::SOURCES, diagnosis);
    let part = made(until, unhandled::look(conn, target, diagnosis)).await;
    missed(part, checks::UNHANDLED, diagnosis);
    let part = made(until, groups::look(conn, target, diagnosis)).await;
    missed(part, checks::GROUPS, diagnosis);
    let part = made(until, rights::look(conn, target, diagnosis)).await;
    missed(part, checks::RIGHTS, diagnosis);
    let part = made(until, vacuum::look(conn, target, diagnosis)).await;
    missed(part, checks::VACUUM, diagnosis);
    let read = made(until, windows::look(conn, target, diagnosis)).await;
    missed(read, checks::WINDOWS, diagnosis).unwrap_or_default()
}

/// Names the checks of a part that the server did not answer.
fn missed<T>(
    made: Result<T, Error>,
    checks: &'static [&'static Check],
    diagnosis: &mut Diagnosis,
) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(error) => {
            diagnosis.not_checked(checks.iter().copied(), chain(&error));
            None
        }
    }
}
