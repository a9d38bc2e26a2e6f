//! The audit as operators read it.

use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::operations::{
    Action, Audit, AuditFilter, AuditRecord, EventFilter, FailedMessageState, FailedMessages, Operator,
    ReplayIds, ReplayOrder, Replays,
};

use super::fixture::failed_message;
use super::{OperatorsFixture, received};
use crate::unique;

/// Three actions: ann discards a failed message and undoes it, and bob orders a replay. Returns the failed message and the replay.
async fn three_actions<F: OperatorsFixture>(fixture: &F) -> (i64, i64) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let number = failed_message(&store, &consumer, &received(&unique("topic"), "{}")).await;
    let other = failed_message(&store, &consumer, &received(&unique("topic"), "{}")).await;
    let (ann, bob) = (Operator::new("ann", "cli"), Operator::new("bob", "http"));
    for (action, ids) in [(Action::Discard, vec![number, other]), (Action::Undo, vec![number])] {
        store.act(action, &ids, &ann).await.expect("the action is answered");
        // The clock of the database has to advance between two actions.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let filter = EventFilter { topic: Some(unique("topic")), ..EventFilter::default() };
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    let job = store.order_replay(&order, &bob).await.expect("a replay can be ordered");
    (number, job.id)
}

async fn found<F: OperatorsFixture>(fixture: &F, filter: AuditFilter) -> Vec<AuditRecord> {
    fixture.store().audit_records(&filter, 100).await.expect("the audit is read")
}

fn actions(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.action.as_str()).collect()
}

/// The newest action is first, and each tells who did what to which.
pub async fn audit_is_read_newest_first<F: OperatorsFixture>(fixture: &F) {
    let (number, replay) = three_actions(fixture).await;
    let all = found(fixture, AuditFilter::default()).await;
    assert_eq!(actions(&all), ["replay", "undo", "discard"]);
    assert_eq!(
        (all[0].operator.as_str(), all[0].through.as_str(), all[0].replay),
        ("bob", "http", Some(replay))
    );
    assert_eq!((all[2].failed_messages.len(), all[2].done, all[2].replay), (2, 2, None));
    assert_eq!(all[1].failed_messages, [number]);
    assert!(all[0].id > all[1].id && all[1].at > all[2].at, "{all:?}");
}

/// Each part of a filter narrows.
pub async fn each_filter_narrows_the_audit<F: OperatorsFixture>(fixture: &F) {
    let (number, replay) = three_actions(fixture).await;
    let all = found(fixture, AuditFilter::default()).await;
    let none = AuditFilter::default;
    for (filter, wanted) in [
        (AuditFilter { operator: Some("ann".to_owned()), ..none() }, vec!["undo", "discard"]),
        (AuditFilter { action: Some("undo".to_owned()), ..none() }, vec!["undo"]),
        (AuditFilter { failed_message: Some(number), ..none() }, vec!["undo", "discard"]),
        (AuditFilter { failed_message: Some(number + 1), ..none() }, vec!["discard"]),
        (AuditFilter { replay: Some(replay), ..none() }, vec!["replay"]),
        (AuditFilter { since: Some(all[1].at), ..none() }, vec!["replay", "undo"]),
        (AuditFilter { until: Some(all[1].at), ..none() }, vec!["discard"]),
        (AuditFilter { operator: Some("ann".to_owned()), replay: Some(replay), ..none() }, vec![]),
    ] {
        assert_eq!(actions(&found(fixture, filter.clone()).await), wanted, "{filter:?}");
    }
}

/// The last number of a page is the bound of the next one.
pub async fn pages_of_the_audit_join_without_a_gap<F: OperatorsFixture>(fixture: &F) {
    three_actions(fixture).await;
    let all = found(fixture, AuditFilter::default()).await;
    let (store, mut before, mut paged) = (fixture.store(), None, Vec::new());
    loop {
        let filter = AuditFilter { before, ..AuditFilter::default() };
        let page = store.audit_records(&filter, 2).await.expect("the audit is read");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        paged.extend(page);
        assert!(paged.len() <= all.len(), "pages repeat actions: {paged:?}");
    }
    assert_eq!(paged, all);
}

/// No action is done, or written down, for an operator of which a part is longer than the audit keeps.
pub async fn operators_with_long_names_are_refused<F: OperatorsFixture>(fixture: &F) {
    let (store, most) = (fixture.store(), Operator::MAX_BYTES);
    let number = failed_message(&store, &unique("consumer"), &received(&unique("topic"), "{}")).await;
    let filter = EventFilter { topic: Some(unique("topic")), ..EventFilter::default() };
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    let longest = Operator::new("a".repeat(most), "b".repeat(most));
    let job = store.order_replay(&order, &longest).await.expect("the longest names are kept");
    let request_id = Some("c".repeat(200_000));
    let refused = [
        Operator::new("a".repeat(most + 1), "cli"),
        Operator::new("ann", "b".repeat(most + 1)),
        Operator { request_id, ..Operator::new("ann", "http") },
    ];
    for by in &refused {
        let errors = [
            store.act(Action::Discard, &[number], by).await.expect_err("a discard"),
            store.order_replay(&order, by).await.expect_err("a replay"),
            store.cancel_replay(job.id, by).await.expect_err("a cancel"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
            assert!(error.to_string().ends_with(&format!("at most {most}")), "{error}");
        }
    }
    let records = found(fixture, AuditFilter::default()).await;
    assert_eq!((records.len(), records[0].operator.len()), (1, most));
    assert_eq!(store.show(number).await.expect("it is there").state, FailedMessageState::Dead);
}
