//! Creates the objects that capture needs, one statement at a time until none is missing.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::state::{FAILOVER_SLOTS, State};
use super::{Capture, Finding, PASSWORD_VARIABLE, ROLE, Subject, finding};
use crate::SchemaName;
use crate::migrations::connection::{self, code, fault};
use crate::quoting::{literal, quoted};

/// Creating a slot waits for every transaction that is open at that moment.
const SLOT_WAIT: Duration = Duration::from_secs(30);

/// Above the highest possible number of steps; ends two processes that undo each other's work.
const MOST_STEPS: usize = 20;

/// One missing statement.
struct Step {
    what: String,
    sql: String,
    /// Whether this user has the right to run it.
    permitted: bool,
}

/// Creates the publication, the role and the slot where they are missing, and returns what this call created.
///
/// Idempotent, also when two processes call it at once. A new role gets `password`; an existing role keeps its own. The
/// call checks all rights first: a user who lacks one changes nothing.
///
/// # Errors
/// [`ErrorKind::WrongState`] when `wal_level` is not `logical`, when the slot's name belongs to another slot, or when the
/// slot is older than its publication, with the commands to start over; [`ErrorKind::Schema`] when the tables are
/// missing; [`ErrorKind::Other`] when a right is missing, with the statements that an administrator has to run;
/// [`ErrorKind::InvalidConfiguration`] when the role has to be created and there is no password; [`ErrorKind::Conflict`]
/// when open transactions prevent the slot for 30 s: retry. Otherwise as
/// [`migrations::status`](crate::migrations::status).
///
/// # Cancel safety
/// A dropped call keeps what it has created; the next call continues.
pub async fn set_up(
    url: &str,
    schema: &SchemaName,
    password: Option<&str>,
) -> Result<Vec<String>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = connection::open(url).await?;
    let made = run(&mut conn, &capture, password).await;
    connection::close(conn).await;
    Ok(made?)
}

/// Checks what would make [`set_up`] fail, and creates nothing. The tables may still be missing.
///
/// # Errors
/// As [`set_up`], except for missing tables and for problems that only creation reveals.
pub async fn may_set_up(url: &str, schema: &SchemaName, password: Option<&str>) -> Result<(), crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = connection::open(url).await?;
    let state = State::read(&mut conn, &capture).await;
    connection::close(conn).await;
    let state = state?;
    let missing = steps(&state, &capture, "'…'");
    let has_password = password.is_some_and(|password| !password.is_empty());
    Ok(refuse(&state, &capture, &missing, has_password, false)?)
}

/// Returns the statements that [`set_up`] would run; empty when nothing is missing. They are for `psql`, which reads the
/// password from its environment.
///
/// # Errors
/// [`ErrorKind::WrongState`] when the slot is older than its publication, which no statement repairs. Otherwise as
/// [`migrations::status`](crate::migrations::status).
pub async fn set_up_sql(url: &str, schema: &SchemaName) -> Result<String, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = connection::open(url).await?;
    let state = State::read(&mut conn, &capture).await;
    connection::close(conn).await;
    let state = state?;
    if state.outlived()
        && let Some(found) = finding::of(&state, &capture).into_iter().find(is_of_publication)
    {
        return Err(Error::new(ErrorKind::WrongState, format!("change data capture: {found}")).into());
    }
    let steps = steps(&state, &capture, ":'cdc_password'");
    let mut text = String::new();
    for Step { sql, .. } in &steps {
        if sql.contains(":'cdc_password'") {
            text.push_str(&format!("\\getenv cdc_password {PASSWORD_VARIABLE}\n"));
        }
        text.push_str(&format!("{sql};\n"));
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Drops the slot and the publication, and returns what it dropped. The role stays: it belongs to the whole server.
///
/// Rows that the slot had not delivered yet are never sent.
///
/// # Errors
/// [`ErrorKind::WrongState`] while a connection reads the slot. Otherwise as [`set_up`].
pub async fn drop_slot(url: &str, schema: &SchemaName) -> Result<Vec<String>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = connection::open(url).await?;
    let dropped = remove(&mut conn, &capture).await;
    connection::close(conn).await;
    Ok(dropped?)
}

async fn run(
    conn: &mut PgConnection,
    capture: &Capture,
    password: Option<&str>,
) -> Result<Vec<String>, Error> {
    let password = password.filter(|password| !password.is_empty()).map(literal);
    let mut made = Vec::new();
    for _ in 0..MOST_STEPS {
        let state = State::read(conn, capture).await?;
        let missing = steps(&state, capture, password.as_deref().unwrap_or("'…'"));
        refuse(&state, capture, &missing, password.is_some(), true)?;
        let Some(step) = missing.into_iter().next() else { return Ok(made) };
        match execute(conn, &state, &step.sql).await {
            Ok(()) => made.push(step.what),
            // Another process creates it at the same moment: the next iteration finds the rest.
            Err(error) if is_a_race(&error) => {}
            Err(error) => return Err(explain(error, capture).with("step", step.what)),
        }
    }
    Err(Error::new(ErrorKind::Conflict, "change data capture: another process undoes what this one makes"))
}

/// Runs a statement in its own transaction, with a time limit, and keeps it out of the server's log where possible.
async fn execute(conn: &mut PgConnection, state: &State, sql: &str) -> Result<(), sqlx::Error> {
    let mut before =
        format!("SET statement_timeout = {}; SET standard_conforming_strings = on", SLOT_WAIT.as_millis());
    if state.user.superuser {
        before.push_str("; SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic'");
    }
    conn.execute(sqlx::raw_sql(AssertSqlSafe(before))).await?;
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.map(drop)
}

/// Returns the missing statements in order of creation.
fn steps(state: &State, capture: &Capture, password: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |what: &str, sql: String, permitted: bool| {
        let permitted = permitted || state.user.superuser;
        steps.push(Step { what: what.to_owned(), sql, permitted });
    };
    let (name, table, database) = (&capture.publication, capture.quoted_table(), quoted(&capture.database));
    match &state.publication {
        None => {
            let sql = format!(
                "CREATE PUBLICATION {name} FOR TABLE {table} WITH (publish = 'insert', publish_via_partition_root = true)"
            );
            add(&format!("publication {name}"), sql, state.user.publishes);
        }
        Some(publication) => {
            let what = format!("publication {name} for {table} only");
            if !publication.table || publication.filtered || publication.more_tables {
                let sql = format!("ALTER PUBLICATION {name} SET TABLE {table}");
                add(&what, sql, publication.ours_to_change);
            }
            if !publication.inserts || publication.others || !publication.via_root {
                let sql = format!(
                    "ALTER PUBLICATION {name} SET (publish = 'insert', publish_via_partition_root = true)"
                );
                add(&format!("publication {name} of inserts only"), sql, publication.ours_to_change);
            }
        }
    }
    match &state.role {
        None => {
            let sql = format!("CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD {password}");
            add(&format!("role {ROLE}"), sql, state.user.makes_roles);
        }
        Some(role) if !role.login || !role.replication => {
            let sql = format!("ALTER ROLE {ROLE} LOGIN REPLICATION");
            add(&format!("role {ROLE} with LOGIN and REPLICATION"), sql, state.user.makes_roles);
        }
        Some(_) => {}
    }
    let (own, any) = state.role.as_ref().map_or((false, false), |role| (role.own_connect, role.connect));
    let may_grant = state.user.superuser || state.user.owns_database;
    // PUBLIC may connect by default; the role's own right is then only a precaution.
    if !own && (may_grant || !any) {
        let sql = format!("GRANT CONNECT ON DATABASE {database} TO {ROLE}");
        add(&format!("right of {ROLE} to connect"), sql, may_grant);
    }
    if state.slot.is_none() {
        // A server with slots that a standby can take over makes such a slot.
        let failover = if state.version >= FAILOVER_SLOTS { ", failover => true" } else { "" };
        let sql =
            format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput'{failover})", capture.slot);
        add(&format!("slot {}", capture.slot), sql, state.user.replication);
    }
    steps
}

fn is_of_publication(found: &Finding) -> bool {
    found.subject == Subject::Publication
}

/// Fails before anything is created when this user cannot create all of it.
fn refuse(
    state: &State,
    capture: &Capture,
    missing: &[Step],
    has_password: bool,
    needs_tables: bool,
) -> Result<(), Error> {
    let beyond_us = |found: &Finding| match found.subject {
        Subject::WalLevel => true,
        Subject::Tables => needs_tables,
        Subject::Slot => state.slot.as_ref().is_some_and(|slot| !slot.fits),
        Subject::Publication => {
            state.outlived() || state.publication.as_ref().is_some_and(|publication| publication.all_tables)
        }
        _ => false,
    };
    if let Some(found) = finding::of(state, capture).into_iter().find(beyond_us) {
        let kind = if found.subject == Subject::Tables { ErrorKind::Schema } else { ErrorKind::WrongState };
        return Err(Error::new(kind, format!("change data capture: {found}")));
    }
    let refused: Vec<&Step> = missing.iter().filter(|step| !step.permitted).collect();
    if !refused.is_empty() {
        let what: Vec<&str> = refused.iter().map(|step| &*step.what).collect();
        // All statements from the first missing one on, because later steps need the earlier ones.
        let sql: Vec<String> = steps(state, capture, "'…'").into_iter().map(|step| step.sql).collect();
        let first = if state.table { "" } else { "run `messagekit migrate` without --cdc, then " };
        let text = format!(
            "change data capture: user {} may not make: {}; {first}an administrator runs in this database: {}",
            quoted(&state.user.name),
            what.join(", "),
            sql.join("; ")
        );
        return Err(Error::new(ErrorKind::Other, text));
    }
    if state.role.is_none() && !has_password {
        let text = format!("role {ROLE} has to be made and has no password: set {PASSWORD_VARIABLE}");
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    Ok(())
}

/// Two sessions that change one catalogue row get an error without a code of its own; there is no lock to wait for.
fn is_a_race(error: &sqlx::Error) -> bool {
    match code(error) {
        Some("42710" | "23505") => true,
        Some("XX000") => error.to_string().contains("concurrently updated"),
        _ => false,
    }
}

fn explain(error: sqlx::Error, capture: &Capture) -> Error {
    match code(&error) {
        Some("57014") => {
            let text = format!(
                "change data capture: slot {} waits for older transactions: end them (see pg_stat_activity) and try again",
                capture.slot
            );
            Error::new(ErrorKind::Conflict, text)
        }
        Some("53400") => {
            let text = "change data capture: every slot of the server is in use: raise max_replication_slots or drop one";
            Error::new(ErrorKind::WrongState, text)
        }
        _ => fault(error),
    }
}

async fn remove(conn: &mut PgConnection, capture: &Capture) -> Result<Vec<String>, Error> {
    let state = State::read(conn, capture).await?;
    let mut dropped = Vec::new();
    // A slot of the same name that serves another purpose stays.
    if state.slot.is_some_and(|slot| slot.fits) {
        let sql = format!("SELECT pg_drop_replication_slot('{}')", capture.slot);
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(|error| match code(&error) {
            Some("55006") => Error::new(
                ErrorKind::WrongState,
                format!("slot {} is being read: delete the connector first", capture.slot),
            ),
            _ => fault(error),
        })?;
        dropped.push(format!("slot {}", capture.slot));
    }
    if state.publication.is_some() {
        let sql = format!("DROP PUBLICATION {}", capture.publication);
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(fault)?;
        dropped.push(format!("publication {}", capture.publication));
    }
    Ok(dropped)
}

#[cfg(test)]
#[path = "set_up_tests.rs"]
mod tests;
