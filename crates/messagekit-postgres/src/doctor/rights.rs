//! Who may write to the outbox, and who has changed it.

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks::{INSERT_DENIED, OUTBOX_MUTABLE, OUTBOX_UPDATED};
use super::target::Target;
use crate::migrations::connection::fault;
use crate::quoting::{literal, quoted};

/// A writer needs both: the links of an event are rows of their own.
const MAY_INSERT: &str = "
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT'), current_user::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname IN ('outbox_events', 'outbox_links') ORDER BY c.relname";

/// The owner may do everything, and needs it: it cleans up.
const MAY_CHANGE: &str = "
SELECT r.rolname::text, string_agg(DISTINCT acl.privilege_type, ', ' ORDER BY acl.privilege_type)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL aclexplode(c.relacl) acl LEFT JOIN pg_roles r ON r.oid = acl.grantee
WHERE n.nspname = $1 AND c.relname = 'outbox_events' AND acl.grantee <> c.relowner
  AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
GROUP BY r.rolname ORDER BY r.rolname";

/// The server counts for each partition.
const UPDATED: &str = "
SELECT format('%I.%I', s.schemaname, s.relname), s.n_tup_upd
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL pg_partition_tree(c.oid) p JOIN pg_stat_all_tables s ON s.relid = p.relid
WHERE n.nspname = $1 AND c.relname = 'outbox_events' AND s.n_tup_upd > 0
UNION
SELECT format('%I.%I', s.schemaname, s.relname), s.n_tup_upd
FROM pg_stat_all_tables s WHERE s.schemaname = $1 AND s.relname = 'outbox_events' AND s.n_tup_upd > 0
ORDER BY 1";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let (schema, table) = (target.schema.as_str(), target.capture.quoted_table());
    let select = sqlx::query_as(MAY_INSERT).persistent(false).bind(schema);
    let rights: Vec<(String, bool, String)> = select.fetch_all(&mut *conn).await.map_err(fault)?;
    let denied: Vec<&str> = rights.iter().filter(|right| !right.1).map(|right| &*right.0).collect();
    if let (Some((_, _, user)), false) = (rights.first(), denied.is_empty()) {
        let (user, place) = (quoted(user), target.schema.quoted());
        let text = format!("role {user} of this URL has no INSERT on {}", denied.join(" and "));
        let mut repair = vec![Repair::Sql(format!("GRANT USAGE ON SCHEMA {place} TO {user}"))];
        let grant = |denied| Repair::Sql(format!("GRANT INSERT ON {denied} TO {user}"));
        repair.extend(denied.into_iter().map(grant));
        diagnosis.found(&INSERT_DENIED, &table, text, repair);
    }
    let select = sqlx::query_as(MAY_CHANGE).persistent(false).bind(schema);
    let granted: Vec<(Option<String>, String)> = select.fetch_all(&mut *conn).await.map_err(fault)?;
    for (role, rights) in granted {
        let role = role.map_or_else(|| "PUBLIC".to_owned(), |role| quoted(&role));
        let text = format!("role {role} owns nothing here and may {rights} rows of {table}");
        let repair = [Repair::Sql(format!("REVOKE {rights} ON {table} FROM {role}"))];
        diagnosis.found(&OUTBOX_MUTABLE, &table, text, repair);
    }
    let select = sqlx::query_as(UPDATED).persistent(false).bind(schema);
    let updated: Vec<(String, i64)> = select.fetch_all(conn).await.map_err(fault)?;
    for (table, rows) in updated {
        let text = format!("{rows} rows of {table} were updated since the counters of the server began");
        let find = "find the program that updates events; to change a fact, write a new event".to_owned();
        let counter = format!("SELECT pg_stat_reset_single_table_counters({}::regclass)", literal(&table));
        diagnosis.found(&OUTBOX_UPDATED, table, text, [Repair::Manual(find), Repair::Sql(counter)]);
    }
    Ok(())
}
