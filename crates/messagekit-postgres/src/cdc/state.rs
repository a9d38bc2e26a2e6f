//! The state of capture in a database.

use messagekit::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{Capture, ROLE};
use crate::migrations::connection::fault;

/// The first version whose logical slots a standby can take over.
pub(crate) const FAILOVER_SLOTS: i32 = 170_000;

/// The catalogues' content at one moment.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The server's version, as 150004 for 15.4.
    pub(crate) version: i32,
    pub(crate) wal_level: String,
    /// The rights of the connected user.
    pub(crate) user: User,
    pub(crate) table: bool,
    pub(crate) publication: Option<Publication>,
    pub(crate) role: Option<Role>,
    pub(crate) slot: Option<Slot>,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) replication: bool,
    /// May create a role with REPLICATION: since version 16 not only a superuser.
    pub(crate) makes_roles: bool,
    pub(crate) owns_database: bool,
    /// Owns the outbox, or will own it, and may create objects in the database.
    pub(crate) publishes: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) ours_to_change: bool,
    pub(crate) all_tables: bool,
    pub(crate) inserts: bool,
    pub(crate) others: bool,
    pub(crate) via_root: bool,
    pub(crate) table: bool,
    /// Publishes more tables than the outbox.
    pub(crate) more_tables: bool,
    /// Leaves rows or columns out.
    pub(crate) filtered: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) login: bool,
    pub(crate) replication: bool,
    pub(crate) expired: bool,
    /// May connect, by its own right or by PUBLIC's.
    pub(crate) connect: bool,
    /// Has its own right to connect, which stays when PUBLIC loses it.
    pub(crate) own_connect: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Is logical, belongs to this database, and uses pgoutput.
    pub(crate) fits: bool,
    pub(crate) active: bool,
    pub(crate) wal_status: String,
    /// The bytes of the log that were written and are not confirmed; `None` on a standby.
    pub(crate) behind: Option<i64>,
    /// The most bytes that the server keeps for a slot; `None` without a limit.
    pub(crate) kept: Option<i64>,
    /// A standby takes the slot over; `None` before version 17.
    pub(crate) failover: Option<bool>,
}

/// to_jsonb reads columns that older servers lack. A slot has no plugin for a moment while the server creates it.
const LOOK: &str = "
WITH outbox AS (
  SELECT c.oid, c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = 'outbox_events'
), published AS (
  SELECT coalesce(bool_or(r.prrelid = (SELECT oid FROM outbox)), false) AS ours,
         coalesce(bool_or(r.prrelid IS DISTINCT FROM (SELECT oid FROM outbox)), false) AS more,
         coalesce(bool_or(to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL), false) AS filtered
  FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $2
)
SELECT current_setting('wal_level') AS wal_level, current_setting('server_version_num')::int AS version,
       u.rolname::text AS user_name, u.rolsuper AS superuser, u.rolreplication AS replication,
       u.rolcreaterole AND u.rolreplication AND current_setting('server_version_num')::int >= 160000 AS makes_roles,
       pg_has_role(d.datdba, 'USAGE') AS owns_database,
       has_database_privilege(d.oid, 'CREATE') AND coalesce(pg_has_role(o.relowner, 'USAGE'), true) AS publishes,
       o.oid IS NOT NULL AS has_table,
       p.oid IS NOT NULL AS has_publication, coalesce(pg_has_role(p.pubowner, 'USAGE'), false) AS pub_owned,
       p.puballtables AS pub_all, p.pubinsert AS pub_insert, p.pubupdate OR p.pubdelete OR p.pubtruncate AS pub_others,
       p.pubviaroot AS pub_via_root, t.ours AS pub_table, t.more AS pub_more, t.filtered AS pub_filtered,
       r.oid IS NOT NULL AS has_role, r.rolcanlogin AS role_login, r.rolreplication OR r.rolsuper AS role_replication,
       coalesce(r.rolvaliduntil < now(), false) AS role_expired,
       has_database_privilege(r.oid, d.oid, 'CONNECT') AS role_connect,
       r.oid = d.datdba OR EXISTS (SELECT FROM aclexplode(d.datacl) acl
         WHERE acl.grantee = r.oid AND acl.privilege_type = 'CONNECT') AS role_own_connect,
       s.slot_name IS NOT NULL AS has_slot, s.active AS slot_active, coalesce(s.wal_status, 'reserved') AS slot_wal_status,
       s.slot_type = 'logical' AND s.plugin IN ('pgoutput', '') AND s.database = d.datname AS slot_fits,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.confirmed_flush_lsn)::bigint
         END AS slot_behind,
       (SELECT CASE WHEN setting::bigint >= 0 THEN setting::bigint * 1048576 END FROM pg_settings
         WHERE name = 'max_slot_wal_keep_size') AS slot_kept,
       (to_jsonb(s) ->> 'failover')::boolean AS slot_failover
FROM pg_database d JOIN pg_roles u ON u.rolname = current_user
  CROSS JOIN published t
  LEFT JOIN outbox o ON true
  LEFT JOIN pg_publication p ON p.pubname = $2
  LEFT JOIN pg_roles r ON r.rolname = $3
  LEFT JOIN pg_replication_slots s ON s.slot_name = $4
WHERE d.datname = current_database()";

impl State {
    pub(crate) async fn read(conn: &mut PgConnection, capture: &Capture) -> Result<Self, Error> {
        let state = Self::look(conn, capture).await?;
        if !state.outlived() {
            return Ok(state);
        }
        // Slots are not part of a snapshot: a slot created during the read appears without its publication.
        Self::look(conn, capture).await
    }

    async fn look(conn: &mut PgConnection, capture: &Capture) -> Result<Self, Error> {
        let look = sqlx::query(LOOK)
            .persistent(false)
            .bind(capture.schema.as_str())
            .bind(&capture.publication)
            .bind(ROLE)
            .bind(&capture.slot);
        let row = look.fetch_one(conn).await.map_err(fault)?;
        Self::of(&row).map_err(fault)
    }

    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let is = |column: &str| row.try_get::<bool, _>(column);
        let user = User {
            name: row.try_get("user_name")?,
            superuser: is("superuser")?,
            replication: is("replication")?,
            makes_roles: is("makes_roles")?,
            owns_database: is("owns_database")?,
            publishes: is("publishes")?,
        };
        let publication = match is("has_publication")? {
            false => None,
            true => Some(Publication {
                ours_to_change: is("pub_owned")?,
                all_tables: is("pub_all")?,
                inserts: is("pub_insert")?,
                others: is("pub_others")?,
                via_root: is("pub_via_root")?,
                table: is("pub_table")?,
                more_tables: is("pub_more")?,
                filtered: is("pub_filtered")?,
            }),
        };
        let role = match is("has_role")? {
            false => None,
            true => Some(Role {
                login: is("role_login")?,
                replication: is("role_replication")?,
                expired: is("role_expired")?,
                connect: is("role_connect")?,
                own_connect: is("role_own_connect")?,
            }),
        };
        let slot = match is("has_slot")? {
            false => None,
            true => Some(Slot {
                fits: is("slot_fits")?,
                active: is("slot_active")?,
                wal_status: row.try_get("slot_wal_status")?,
                behind: row.try_get("slot_behind")?,
                kept: row.try_get("slot_kept")?,
                failover: row.try_get("slot_failover")?,
            }),
        };
        let (wal_level, table) = (row.try_get("wal_level")?, is("has_table")?);
        let version = row.try_get("version")?;
        Ok(Self { version, wal_level, user, table, publication, role, slot })
    }
}
