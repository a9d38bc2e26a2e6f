//! Whether a client knows brokers and is in contact with its group, from its own statistics: a query would wait behind a join.

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
    #[serde(default)]
    state: String,
    /// The microseconds since it has this state.
    #[serde(default)]
    stateage: i64,
}

/// A client tries each second to be connected to some broker. One that has rested for more microseconds was dropped, and what was fetched
/// from it keeps it in the list.
const LONGEST_REST: i64 = 10_000_000;

impl Broker {
    /// Returns whether it has an address, and stands not only for a role.
    fn is_known(&self) -> bool {
        matches!(self.source.as_str(), "learned" | "configured")
    }

    fn was_dropped(&self) -> bool {
        self.state == "INIT" && self.stateage > LONGEST_REST
    }
}

#[derive(Deserialize)]
struct Group {
    state: String,
}

/// The contact of a client with its brokers and its group: when the loss was first seen, and when the statistics were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    /// The client knows no broker that it could ask for others. It stays so.
    pub(crate) is_brokerless: bool,
    pub(crate) lost_since: Option<Instant>,
    pub(crate) looked: Option<Instant>,
}

impl Contact {
    /// Records the given statistics; ignores statistics that cannot be parsed. There is contact with the group while the connection to its
    /// coordinator is up, as it is while the coordinator lets a join wait for other members.
    pub(crate) fn look(&mut self, statistics: &[u8], now: Instant) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else { return };
        let mut known = statistics.brokers.values().filter(|broker| broker.is_known()).peekable();
        let has_contact = known.peek().is_some() && statistics.cgrp.state == "up";
        self.is_brokerless = known.all(Broker::was_dropped);
        self.lost_since = match has_contact {
            true => None,
            false => self.lost_since.or(Some(now)),
        };
        self.looked = Some(now);
    }
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
            assert_eq!((contact.is_brokerless, contact.looked), (broker == "logical", Some(now)));
        }
        assert_eq!(
            contact.lost_since,
            Some(begun + Duration::from_secs(3)),
            "since the first look without it"
        );
    }

    #[test]
    fn a_broker_that_rests_for_long_was_dropped() {
        for (state, seconds, is_brokerless) in
            [("INIT", 11, true), ("INIT", 2, false), ("CONNECT", 60, false), ("UP", 60, false)]
        {
            let broker = format!(
                r#"{{"source": "learned", "state": "{state}", "stateage": {}}}"#,
                seconds * 1_000_000
            );
            let statistics =
                format!(r#"{{"brokers": {{"b:9092/1": {broker}}}, "cgrp": {{"state": "init"}}}}"#);
            let mut contact = Contact::default();
            contact.look(statistics.as_bytes(), Instant::now());
            assert_eq!(contact.is_brokerless, is_brokerless, "{state} for {seconds} s");
        }
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let mut contact = Contact::default();
        contact.look(b"{}", Instant::now());
        assert_eq!(contact, Contact::default());
    }
}
