//! Compares the topic with the committed events.

use std::collections::BTreeMap;
use std::fmt;

use crate::stage::Stage;

pub(crate) struct Statistics {
    committed: usize,
    again: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events committed, {} records more", self.committed, self.again)
    }
}

/// Requires that every committed event is in the topic, up to the event that blocks its key if one is named: in the order of each
/// key, each copy with the same bytes, and nothing else.
pub(crate) async fn compare(stage: &Stage, blocked_by: Option<&str>) -> Statistics {
    let sql = "SELECT event_id, aggregate_id, payload FROM messagekit.outbox_events ORDER BY seq";
    let rows: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as(sql).fetch_all(stage.store.pool()).await.unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut payloads = BTreeMap::new();
    let mut blocked = None;
    for (id, key, payload) in rows {
        if blocked_by == Some(id.as_str()) {
            blocked = Some(key.clone());
        }
        if blocked.as_ref() != Some(&key) {
            expected.entry(key).or_default().push(id.clone());
        }
        payloads.insert(id, payload);
    }
    assert_eq!(blocked.is_some(), blocked_by.is_some());

    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut first = BTreeMap::new();
    let mut again = 0;
    for record in stage.topic.read() {
        let (id, key) = (record.id(), String::from_utf8(record.key.clone().unwrap()).unwrap());
        assert_eq!(Some(&record.payload), payloads.get(&id), "{id} was never committed with these bytes");
        match first.get(&id) {
            Some(earlier) => {
                assert_eq!(earlier, &record, "{id} came with other bytes");
                again += 1;
            }
            None => {
                first.insert(id.clone(), record);
                found.entry(key).or_default().push(id);
            }
        }
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, ids) in &expected {
        let wrong = ids.iter().zip(&found[key]).position(|(expected, found)| expected != found);
        assert!(
            wrong.is_none(),
            "order of {key} broken at {wrong:?}: {:?}",
            &found[key][wrong.unwrap_or(0)..]
        );
        assert_eq!(ids.len(), found[key].len(), "{key}");
    }
    Statistics { committed: expected.values().map(Vec::len).sum(), again }
}
