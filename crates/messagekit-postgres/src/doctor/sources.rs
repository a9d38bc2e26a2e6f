//! Table sources that make no events any more, or not all of them.

use messagekit::Error;
use messagekit::log::{Changes, KnownSource, OnSourceFailure, RowPayload, SourceFault};
use messagekit::operations::{Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks::{SOURCE_FAULTY, SOURCE_SET_ASIDE};
use super::target::Target;
use crate::tables::table_sources;

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    for source in table_sources::all(conn, &target.schema).await? {
        let Some(fault) = source.fault else { continue };
        let name = format!("table source {} of topic {}", source.table, source.topic);
        diagnosis.found(
            &SOURCE_FAULTY,
            &source.table,
            format!("{name}: {fault}"),
            [repair(target, &source, fault)],
        );
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

/// A source is added again as it was; without its table, it is dropped.
fn repair(target: &Target, source: &KnownSource, fault: SourceFault) -> Repair {
    let KnownSource { topic, table, changes, filter, payload, key, on_failure, .. } = source;
    if fault == SourceFault::TableMissing {
        return target.command(&["topics", "source", "drop", topic, table]);
    }
    let mut words = vec!["topics", "source", "add", topic, table, "--replace"];
    let Changes { insert, update, delete } = *changes;
    let on = [(insert, "insert"), (update, "update"), (delete, "delete")];
    let on: Vec<&str> = on.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    let on = on.join(",");
    if *changes != Changes::ALL {
        words.extend(["--on", &on]);
    }
    if *payload != RowPayload::default() {
        words.extend(["--payload", payload.as_str()]);
    }
    if *on_failure != OnSourceFailure::default() {
        words.extend(["--on-failure", on_failure.as_str()]);
    }
    for (option, expression) in [("--filter", filter), ("--partition-by", key)] {
        if let Some(expression) = expression {
            words.extend([option, expression]);
        }
    }
    target.command(&words)
}
