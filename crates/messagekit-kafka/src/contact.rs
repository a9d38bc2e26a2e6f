//! Whether a client is in contact with its group, from its own statistics: a query would wait behind a join.

use std::collections::HashMap;
use std::time::Instant;

use serde::Deserialize;

/// The part of a client's statistics that this module reads.
#[derive(Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
    cgrp: Group,
}

#[derive(Deserialize)]
struct Broker {
    source: String,
}

#[derive(Deserialize)]
struct Group {
    state: String,
}

/// The contact of a client with its group: when the loss was first seen, and when the statistics were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) lost_since: Option<Instant>,
    pub(crate) looked: Option<Instant>,
}

impl Contact {
    /// Records the given statistics; ignores statistics that cannot be parsed.
    pub(crate) fn look(&mut self, statistics: &[u8], now: Instant) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else { return };
        self.lost_since = match has_contact(&statistics) {
            true => None,
            false => self.lost_since.or(Some(now)),
        };
        self.looked = Some(now);
    }
}

/// Returns whether a client has contact with its group: it knows a broker to query for other brokers, and its
/// connection to the group's coordinator is up. The connection stays up while the coordinator lets a join wait for
/// other members.
fn has_contact(statistics: &Statistics) -> bool {
    let knows_a_broker =
        statistics.brokers.values().any(|broker| matches!(broker.source.as_str(), "learned" | "configured"));
    knows_a_broker && statistics.cgrp.state == "up"
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn statistics(broker: &str, group: &str, join: &str) -> Vec<u8> {
        let brokers = format!(
            r#"{{"GroupCoordinator": {{"source": "logical", "state": "UP"}}, "b:9092/1": {{"source": "{broker}", "state": "DOWN"}}}}"#
        );
        format!(
            r#"{{"name": "c", "brokers": {brokers}, "topics": {{}}, "cgrp": {{"state": "{group}", "join_state": "{join}"}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_client_that_waits_for_its_group_has_contact() {
        let mut contact = Contact::default();
        contact.look(&statistics("learned", "up", "wait-join"), Instant::now());
        assert!(contact.lost_since.is_none() && contact.looked.is_some());
    }

    #[test]
    fn contact_is_lost_until_broker_and_coordinator_are_both_back() {
        let (mut contact, begun) = (Contact::default(), Instant::now());
        for (second, (broker, group, is_lost)) in [
            ("logical", "up", true),
            ("learned", "query-coord", true),
            ("learned", "up", false),
            ("configured", "wait-broker-transport", true),
            ("configured", "wait-coord", true),
        ]
        .into_iter()
        .enumerate()
        {
            let now = begun + Duration::from_secs(second as u64);
            contact.look(&statistics(broker, group, "steady"), now);
            assert_eq!(contact.lost_since.is_some(), is_lost, "{broker} {group}");
            assert_eq!(contact.looked, Some(now));
        }
        assert_eq!(
            contact.lost_since,
            Some(begun + Duration::from_secs(3)),
            "since the first look without it"
        );
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let mut contact = Contact::default();
        contact.look(b"{}", Instant::now());
        assert_eq!(contact, Contact::default());
    }
}
