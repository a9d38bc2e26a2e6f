//! Retries and discards of refused events, over HTTP.

use std::time::Duration;

use messagekit::relay::{OutboxReader, Rejection, ShardRead};
use messagekit::{Error, ErrorKind};
use messagekit_admin::Role;
use messagekit_postgres::SchemaName;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use serde_json::Value;

use crate::stock::{self, Served};

/// Sets the first event of each of `keys` keys aside, as a relay does, with a second event behind it.
async fn refused(database: &Database, keys: usize) {
    let limit = Duration::from_secs(60);
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, limit).await.unwrap();
    let store = database.store().await;
    stock::events(&store, keys).await;
    stock::events(&store, keys).await;
    let leases = store.lease("relay", Duration::from_secs(600)).await.unwrap();
    for lease in leases.held {
        let wanted = [ShardRead { lease, above: i64::MIN }];
        let page = store.pending("relay", &wanted, &[], &[], 1_000).await.unwrap();
        for row in page.rows {
            let error = Some(Error::new(ErrorKind::TooLarge, "message is over the limit of the topic"));
            // The second event is gone: it was set aside with the first.
            store.set_aside("relay", &Rejection { lease, entry: row.entry(), error }).await.unwrap();
        }
    }
}

fn ask(served: &Served, role: Role, line: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let caller = served.caller(role);
    if method == "GET" { caller.get(path) } else { caller.acts(path) }
}

#[test]
fn operators_mend_what_was_refused_and_each_act_is_in_the_audit() {
    let database = block_on(async {
        let database = Database::fresh().await;
        refused(&database, 3).await;
        database
    });
    let served = Served::over(&database);
    let list = "GET /api/v1/outbox/rejected";
    let (status, page) = ask(&served, Role::Viewer, list);
    let events = page["events"].as_array().unwrap();
    assert_eq!((status, events.len()), (200, 3), "{page}");
    for event in events {
        assert_eq!((&event["behind"], &event["attempts"]), (&1.into(), &1.into()), "{page}");
        assert!(event["error"].as_str().unwrap().contains("over the limit"), "{page}");
    }
    let ids: Vec<i64> = events.iter().map(|event| event["id"].as_i64().unwrap()).collect();

    // By pages, with the events that wait.
    let (mut found, mut query) = (Vec::new(), "?waiting=true&limit=2".to_owned());
    loop {
        let (_, page) = ask(&served, Role::Viewer, &format!("{list}{query}"));
        found.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => query = next.to_owned(),
            None => break,
        }
    }
    assert!(found.len() == 6 && found.is_sorted_by_key(|event| event["id"].as_i64()), "{found:?}");
    let waits = |event: &&Value| event["key"] == events[2]["key"] && event["error"].is_null();
    let waits = found.iter().find(waits).unwrap()["id"].as_i64().unwrap();

    let act = |role, id: i64, act: &str| ask(&served, role, &format!("POST {}/{id}/{act}", &list[4..]));
    for role in [Role::Viewer, Role::Reader] {
        assert_eq!((act(role, ids[0], "retry").0, act(role, ids[0], "discard").0), (403, 403));
    }
    let (status, mended) = act(Role::Operator, ids[0], "retry");
    assert_eq!((status, &mended["back"]), (202, &2.into()), "{mended}");
    assert_eq!(act(Role::Operator, ids[0], "retry").0, 404, "a second click finds nothing");
    assert_eq!(act(Role::Operator, waits, "discard").0, 409);
    let (status, mended) = act(Role::Admin, ids[1], "discard");
    assert_eq!((status, &mended["back"]), (202, &1.into()), "{mended}");

    let (pending, audit) = block_on(async {
        let store = database.store().await;
        let pending = "SELECT count(*) FROM messagekit.outbox_pending";
        let audit = "SELECT act || ' ' || through FROM messagekit.admin_audit ORDER BY id";
        let pending: i64 = sqlx::query_scalar(pending).fetch_one(store.pool()).await.unwrap();
        let audit: Vec<String> = sqlx::query_scalar(audit).fetch_all(store.pool()).await.unwrap();
        (pending, audit)
    });
    assert_eq!(pending, 3);
    assert_eq!(audit, ["retry-rejected http", "discard-rejected http"]);
}
