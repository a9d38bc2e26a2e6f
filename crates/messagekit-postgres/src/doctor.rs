//! Examines a database and its server.

mod capture;
mod checks;
mod clock;
mod publishing;
mod rights;
mod schema;
mod settings;
mod target;
mod transactions;
mod vacuum;
mod windows;

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{Check, DedupReach, Diagnosis, Doctor, Repair, SERVICE_UNREACHABLE};
use messagekit::{Error, chain};
use sqlx::{ConnectOptions, PgConnection};

use crate::migrations::connection;
use crate::{PostgresStore, connect};
use schema::Tables;
use target::Target;

/// The time limit of one statement, so that a locked or huge table delays no other check for long.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

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
    let mut conn = connect::connect(&options).await?;
    let read = every(&mut conn, target, diagnosis).await;
    connection::close(conn).await;
    Ok(read)
}

async fn every(conn: &mut PgConnection, target: &Target, diagnosis: &mut Diagnosis) -> Vec<DedupReach> {
    let made = clock::look(conn, target, diagnosis).await;
    missed(made, checks::CLOCK, diagnosis);
    let made = settings::look(conn, target, diagnosis).await;
    missed(made, checks::SETTINGS, diagnosis);
    let made = transactions::look(conn, target, diagnosis).await;
    missed(made, checks::TRANSACTIONS, diagnosis);
    let tables = schema::look(conn, target, diagnosis).await;
    let tables = missed(tables, checks::SCHEMA, diagnosis);
    if tables != Some(Tables::Current) {
        let reason = "the tables do not have the version of this program";
        diagnosis.not_checked(checks::ON_TABLES.iter().copied().flatten().copied(), reason);
        return Vec::new();
    }
    let made = capture::look(conn, target, diagnosis).await;
    missed(made, checks::CAPTURE, diagnosis);
    let made = publishing::look(conn, target, diagnosis).await;
    missed(made, checks::PUBLISHING, diagnosis);
    let made = rights::look(conn, target, diagnosis).await;
    missed(made, checks::RIGHTS, diagnosis);
    let made = vacuum::look(conn, target, diagnosis).await;
    missed(made, checks::VACUUM, diagnosis);
    let read = windows::look(conn, target, diagnosis).await;
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
