//! Transactions that were left open.

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair};
use sqlx::{PgConnection, Row};

use super::checks::{PREPARED_FORGOTTEN, TRANSACTION_OLD};
use super::target::Target;
use crate::migrations::connection::fault;
use crate::quoting::{literal, quoted};

/// Other users' sessions are hidden from a role without this right.
const MAY_SEE: &str = "
SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS may_see, current_user::text AS role";

/// Ten minutes are above every limit of this library's own transactions.
const OPEN: &str = "
SELECT a.pid, coalesce(a.usename::text, '') AS role, coalesce(a.application_name, '') AS program,
  coalesce(a.state, '') AS state, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
  to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00') AS began
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND a.xact_start < clock_timestamp() - interval '10 minutes'
ORDER BY a.xact_start LIMIT 20";

const PREPARED: &str = "
SELECT p.gid, p.owner::text AS role, extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS seconds
FROM pg_prepared_xacts p
WHERE p.database = current_database() AND p.prepared < clock_timestamp() - interval '10 minutes'
ORDER BY p.prepared LIMIT 20";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let open = sqlx::query(OPEN).persistent(false).fetch_all(&mut *conn).await.map_err(fault)?;
    for row in open {
        let read = || Ok((row.try_get("pid")?, row.try_get("seconds")?));
        let (pid, seconds): (i32, f64) = read().map_err(fault)?;
        let text = |column: &str| row.try_get::<String, _>(column).map_err(fault);
        let (role, program, state, began) = (text("role")?, text("program")?, text("state")?, text("began")?);
        let text = format!(
            "role {role}, program {program:?}: a transaction is open for {seconds:.0} s and is {state}"
        );
        let ask = format!(
            "let the operator of {program:?} commit or roll back; the statement below ends its session, which gives the \
             changes of this transaction up"
        );
        // The session may have begun another transaction since, or the number may belong to another session.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {pid} AND xact_start = '{began}'"
        );
        let repair = [Repair::Manual(ask), Repair::Sql(end)];
        diagnosis.found(&TRANSACTION_OLD, format!("session {pid}"), text, repair);
    }
    let prepared = sqlx::query(PREPARED).persistent(false).fetch_all(&mut *conn).await.map_err(fault)?;
    for row in prepared {
        let read = || Ok((row.try_get("gid")?, row.try_get("role")?, row.try_get("seconds")?));
        let (gid, role, seconds): (String, String, f64) = read().map_err(fault)?;
        let text =
            format!("role {role} prepared the transaction {gid} {seconds:.0} s ago and did not end it");
        let name = literal(&gid);
        let ask = format!(
            "ask its transaction manager for the outcome: the statement below gives its changes up, COMMIT PREPARED {name} \
             keeps them"
        );
        let repair = [Repair::Manual(ask), Repair::Sql(format!("ROLLBACK PREPARED {name}"))];
        diagnosis.found(&PREPARED_FORGOTTEN, gid, text, repair);
    }
    let see = sqlx::query_as(MAY_SEE).persistent(false).fetch_one(conn).await;
    let (may_see, role): (bool, String) = see.map_err(fault)?;
    if !may_see {
        let reason = format!(
            "role {role} sees its own sessions only: an administrator of {} runs GRANT pg_read_all_stats TO {}",
            target.name,
            quoted(&role)
        );
        diagnosis.not_checked([&TRANSACTION_OLD], reason);
    }
    Ok(())
}
