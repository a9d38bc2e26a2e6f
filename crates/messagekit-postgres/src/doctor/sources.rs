//! Table sources that make no events any more, or not all of them.

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair, TABLE_SOURCE_FAULTY};
use sqlx::PgConnection;

use super::checks::SOURCE_SET_ASIDE;
use super::target::Target;
use crate::tables::table_sources;

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    for source in table_sources::all(conn, &target.schema).await? {
        if let Some(problem) = source.problem() {
            let repairs: Vec<Repair> = source.repairs().iter().map(|words| target.command(words)).collect();
            diagnosis.found(&TABLE_SOURCE_FAULTY, &source.table, problem, repairs);
        }
    }
    for failing in table_sources::set_aside(conn, &target.schema).await? {
        let table_sources::SetAside { topic, table, consumer, rows } = failing;
        let text = format!("events of {rows} rows of {table} for topic {topic} could not be written");
        let step = Repair::Manual(format!(
            "see why with `messagekit dlq list --consumer '{consumer}'`, repair the source or the rows, change the rows again for \
             their events, and discard the failed messages"
        ));
        diagnosis.found(&SOURCE_SET_ASIDE, &table, text, [step]);
    }
    Ok(())
}
