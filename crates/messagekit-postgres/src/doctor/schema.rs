//! The version of the tables.

use messagekit::adapter::SchemaFit;
use messagekit::operations::{Diagnosis, Repair, SCHEMA_PENDING};
use messagekit::{Error, ErrorKind};
use sqlx::PgConnection;

use super::target::Target;
use crate::migrations;

/// The tables, by their version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// This program can use them: of its version, or newer.
    Usable,
    /// Missing, older, too new or not ours.
    Other,
}

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<Tables, Error> {
    let program = migrations::this_program();
    let current = match migrations::known_version(conn, &target.schema, program).await {
        Ok(found) if found.fit(program) == SchemaFit::Usable => return Ok(Tables::Usable),
        Ok(found) => found.current,
        // Newer tables, those before the first step, or tables that are not ours: only a person can say which side is wrong.
        Err(error) if error.kind() == ErrorKind::Schema => {
            let text = error.to_string();
            let (what, cure) = text.split_once(": ").unwrap_or((&text, "upgrade this program"));
            let repair = [Repair::Manual(cure.to_owned())];
            diagnosis.found(&SCHEMA_PENDING, target.schema.as_str(), what, repair);
            return Ok(Tables::Other);
        }
        Err(error) => return Err(error),
    };
    let latest = program.latest;
    let text = match current {
        0 => format!(
            "schema {} has no tables of messagekit, and this program needs version {latest}",
            target.schema
        ),
        _ => format!("the tables have version {current}, and this program needs {latest}"),
    };
    diagnosis.found(&SCHEMA_PENDING, target.schema.as_str(), text, [target.command(&["migrate"])]);
    Ok(Tables::Other)
}
