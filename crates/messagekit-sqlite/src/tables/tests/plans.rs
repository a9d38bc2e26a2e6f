//! The query plan of each lookup of an event: none scans records, markers, failed messages or actions.

use rusqlite::Connection;

use super::super::failed_message_filter::Conditions;
use super::super::{
    actions, audit_list, event_links, event_record, failed_message_head, selections, unpublished,
};
use crate::migrations::steps;
use messagekit::operations::{AuditFilter, FailedMessageFilter, FailedMessageState};

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let values: Vec<String> = (1..=sql.matches('?').count()).map(|_| "1".to_owned()).collect();
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = explain.parameter_count();
    explain
        .query_map(rusqlite::params_from_iter(&values[..count]), |row| row.get(3))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn lookups_of_an_event_search_an_index() {
    let conn = Connection::open_in_memory().unwrap();
    steps::run(&conn, steps::MIGRATIONS).unwrap();
    let by = |records: &str| format!("SELECT {} {records}", event_links::LINKED);
    let lookups = [
        event_record::EVENT.to_owned(),
        event_record::DELAYED.to_owned(),
        event_record::OUTCOMES.to_owned(),
        format!("SELECT {} {}", failed_message_head::HEAD, event_record::FAILED_MESSAGES),
        event_record::FAILURES.to_owned(),
        format!("SELECT a.id {}", event_record::ACTIONS),
        by(event_links::BY_ID),
        by(event_links::BY_CAUSATION),
        by(event_links::BY_CORRELATION),
        by(event_links::BY_REPLAY),
    ];
    for lookup in lookups {
        let plan = plan(&conn, &lookup);
        // There are few consumers, and the lists of a lookup are its own.
        let scans = plan.iter().filter(|step| {
            let is_small = ["SCAN n", "SCAN w", "SCAN f", "SCAN messagekit_consumers"];
            step.starts_with("SCAN") && !is_small.iter().any(|small| step.starts_with(small))
        });
        assert_eq!(scans.count(), 0, "{lookup}\n{plan:#?}");
    }
}

#[test]
fn unpublished_events_are_read_in_the_order_of_an_index() {
    let conn = Connection::open_in_memory().unwrap();
    steps::run(&conn, steps::MIGRATIONS).unwrap();
    for list in [unpublished::PENDING, unpublished::DELAYED] {
        let plan = plan(&conn, list);
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{list}\n{plan:#?}");
    }
}

#[test]
fn actions_on_one_failed_message_are_read_by_their_index() {
    let conn = Connection::open_in_memory().unwrap();
    steps::run(&conn, steps::MIGRATIONS).unwrap();
    let filter = AuditFilter { failed_message: Some(7), ..AuditFilter::default() };
    let plan = plan(&conn, &audit_list::statement(&filter).0);
    assert!(plan.iter().any(|step| step.contains("USING INTEGER PRIMARY KEY (rowid=?)")), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:#?}");
}

#[test]
fn messages_of_a_selection_are_looked_up_by_their_number() {
    let conn = Connection::open_in_memory().unwrap();
    steps::run(&conn, steps::MIGRATIONS).unwrap();
    let (text, every) = (|| Some("text".to_owned()), FailedMessageFilter::default());
    let state = Some(FailedMessageState::Dead);
    let filters = [
        FailedMessageFilter { state, ..every.clone() },
        FailedMessageFilter { state, consumer: text(), before: Some(7), ..every.clone() },
        FailedMessageFilter { fingerprint: text(), ..every.clone() },
        every,
    ];
    let unchanged = filters.map(|filter| selections::unchanged_sql(&Conditions::of(&filter)));
    for statement in unchanged.iter().map(String::as_str).chain([actions::FIND]) {
        let plan = plan(&conn, statement);
        let by_number = |step: &String| step.starts_with("SEARCH d") && step.contains("(rowid=?)");
        assert!(plan.iter().any(by_number), "{statement}\n{plan:#?}");
    }
}
