//! Dead rows in the tables that are written for each message.

use messagekit::Error;
use messagekit::operations::{Check, Diagnosis, Repair};
use sqlx::{PgConnection, Row};

use super::checks::{AUTOVACUUM_OFF, MARKERS_NOT_VACUUMED, PENDING_NOT_VACUUMED};
use super::target::Target;
use crate::migrations::connection::fault;

/// Each table with all of its partitions.
const LOOK: &str = "
SELECT c.relname::text AS name, coalesce(sum(pg_stat_get_live_tuples(part.oid)), 0)::bigint AS live,
  coalesce(sum(pg_stat_get_dead_tuples(part.oid)), 0)::bigint AS dead,
  coalesce(array_agg(format('%I.%I', home.nspname, part.relname) ORDER BY part.relname) FILTER (
    WHERE part.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0']),
    '{}') AS without,
  current_setting('autovacuum') AS server
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT c.oid UNION SELECT p.relid FROM pg_partition_tree(c.oid) p) tree (oid)
  JOIN pg_class part ON part.oid = tree.oid JOIN pg_namespace home ON home.oid = part.relnamespace
WHERE n.nspname = $1 AND c.relname IN ('processed_messages', 'outbox_pending')
GROUP BY c.relname ORDER BY c.relname";

/// The rows of a table, as the server counts them.
struct Rows {
    name: String,
    live: i64,
    dead: i64,
}

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let select = sqlx::query(LOOK).persistent(false).bind(target.schema.as_str());
    let mut is_off = false;
    for row in select.fetch_all(conn).await.map_err(fault)? {
        let read = || {
            let rows =
                Rows { name: row.try_get("name")?, live: row.try_get("live")?, dead: row.try_get("dead")? };
            Ok((rows, row.try_get::<Vec<String>, _>("without")?, row.try_get::<String, _>("server")?))
        };
        let (rows, without, server) = read().map_err(fault)?;
        is_off = is_off || server == "off";
        for table in without {
            let text = format!("autovacuum_enabled is false on {table}");
            let repair = [Repair::Sql(format!("ALTER TABLE {table} RESET (autovacuum_enabled)"))];
            diagnosis.found(&AUTOVACUUM_OFF, table, text, repair);
        }
        if let Some((check, text)) = judged(&rows) {
            let table = format!("{}.{}", target.schema.quoted(), rows.name);
            let repair = [Repair::Sql(format!("VACUUM (ANALYZE) {table}"))];
            diagnosis.found(check, table, text, repair);
        }
    }
    if is_off {
        let repair = [
            Repair::Sql("ALTER SYSTEM SET autovacuum = 'on'".to_owned()),
            Repair::Sql("SELECT pg_reload_conf()".to_owned()),
        ];
        diagnosis.found(&AUTOVACUUM_OFF, "server", "autovacuum of the whole server is off", repair);
    }
    Ok(())
}

/// Autovacuum begins at 20 % of the markers, and at 10,000 rows of the pending list: these are several times as many.
fn judged(rows: &Rows) -> Option<(&'static Check, String)> {
    let Rows { name, live, dead } = rows;
    let (check, limit): (&Check, i64) = match name.as_str() {
        "outbox_pending" => (&PENDING_NOT_VACUUMED, 50_000),
        _ => (&MARKERS_NOT_VACUUMED, 10_000 + live / 5 * 2),
    };
    (*dead > limit).then(|| {
        (check, format!("{name} has {dead} dead rows beside {live} live ones: the limit is {limit}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_rows_are_measured_by_the_table_they_are_in() {
        let is_found = |name: &str, live, dead| judged(&Rows { name: name.to_owned(), live, dead }).is_some();
        assert!(!is_found("processed_messages", 1_000_000, 400_000));
        assert!(is_found("processed_messages", 1_000_000, 420_000));
        assert!(is_found("processed_messages", 0, 10_001));
        assert!(!is_found("outbox_pending", 0, 50_000));
        assert!(is_found("outbox_pending", 10_000_000, 50_001), "the list is short by nature");
    }
}
