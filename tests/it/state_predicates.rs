//! The states and reasons that statements name are those of the state machine of failed messages.

use std::collections::BTreeSet;

use jiff::Timestamp;
use messagekit::operations::{Action, FailedMessageState, StateMachine, StateReason};

use crate::tree::{files, read};

type States = BTreeSet<&'static str>;

const ALL: [FailedMessageState; 6] = FailedMessageState::ALL;

fn states(is_in: impl Fn(FailedMessageState) -> bool) -> States {
    ALL.into_iter().filter(|state| is_in(*state)).map(FailedMessageState::as_str).collect()
}

fn may_run(state: FailedMessageState) -> bool {
    let due = Some(Timestamp::UNIX_EPOCH);
    StateMachine { state, due, ..StateMachine::set_aside(1, due) }.is_due(Timestamp::UNIX_EPOCH)
}

/// Returns the states that a predicate at the beginning of `sql` names: `state = 'dead'`, `state IN (…)` or `state NOT IN (…)`.
fn named(sql: &str) -> Option<States> {
    let rest = sql.strip_prefix("state ")?;
    let quoted = |text: &str| -> Option<States> {
        let words = text.split('\'').skip(1).step_by(2);
        words
            .map(|word| ALL.map(FailedMessageState::as_str).into_iter().find(|state| *state == word))
            .collect()
    };
    if let Some(rest) = rest.strip_prefix("= '") {
        return quoted(&format!("'{}'", rest.split_once('\'')?.0));
    }
    let (is_in, list) = match rest.strip_prefix("IN (") {
        Some(list) => (true, list),
        None => (false, rest.strip_prefix("NOT IN (")?),
    };
    let named = quoted(list.split_once(')')?.0)?;
    Some(states(|state| named.contains(state.as_str()) == is_in))
}

fn sql_files() -> impl Iterator<Item = String> {
    let folders = ["crates/messagekit-postgres/src/", "crates/messagekit-sqlite/src/", "migrations/"];
    files().into_iter().filter(move |file| folders.iter().any(|folder| file.starts_with(folder)))
}

#[test]
fn every_list_of_states_in_sql_is_a_set_of_the_state_machine() {
    let sets = [
        states(FailedMessageState::is_open),
        states(|state| !state.is_open()),
        states(may_run),
        states(|_| true),
        states(|state| state.is_open() && state != FailedMessageState::Blocked),
    ];
    let mut seen = 0;
    for file in sql_files() {
        let text = read(&file);
        for (at, _) in text.match_indices("state IN (").chain(text.match_indices("state NOT IN (")) {
            let Some(named) = named(&text[at..]) else {
                let is_replay_job = text[at..].starts_with("state IN ('running', ");
                assert!(is_replay_job, "{file}: a state is unknown in {:.80}", &text[at..]);
                continue;
            };
            seen += 1;
            assert!(
                sets.contains(&named),
                "{file}: {named:?} is no set of states that the state machine knows"
            );
        }
    }
    assert!(seen >= 30, "only {seen} lists of states were found");
}

/// The plan of an action has judged the messages. PostgreSQL compares their states once more when it moves them.
#[test]
fn each_action_in_sql_begins_where_the_transition_table_says() {
    let file = "crates/messagekit-postgres/src/tables/actions.rs";
    let text = read(file);
    for action in [Action::Retry, Action::Discard, Action::Undo] {
        let from = states(|state| action.of(state).is_some());
        let place = format!("{}: ", action.as_str().to_uppercase());
        let (_, statement) = text.split_once(&place).unwrap_or_else(|| panic!("{file} has no {place}"));
        let (_, predicate) = statement.split_once("AND state ").expect("the statement asks for a state");
        assert_eq!(named(&format!("state {predicate}")), Some(from), "{action}");
    }
}

/// Returns the words in quotes in `sql`.
fn quoted(sql: &str) -> Vec<&str> {
    sql.split('\'').skip(1).step_by(2).collect()
}

#[test]
fn the_table_accepts_exactly_the_known_reasons() {
    for engine in ["postgres", "sqlite"] {
        let text = read(&format!("migrations/{engine}/0012_schema.sql"));
        let (_, list) = text.split_once("CHECK (reason IN (").expect("the column has a list");
        let (list, _) = list.split_once(')').expect("the list ends");
        assert_eq!(quoted(list), StateReason::ALL.map(StateReason::as_str), "{engine}");
    }
}

/// A statement that changed the state alone would leave the reason of the state before.
#[test]
fn every_statement_that_sets_a_state_sets_its_reason() {
    let mut seen = 0;
    for file in sql_files().filter(|file| file.contains("/tables/") && !file.contains("/tests/")) {
        let text = read(&file);
        for (at, _) in text.match_indices("UPDATE messagekit").chain(text.match_indices("DO UPDATE SET")) {
            let set = text[at..].split_once("WHERE").map_or(&text[at..], |(set, _)| set);
            let is_of_failed_messages =
                ["failed_messages", "DO UPDATE SET"].iter().any(|of| set.contains(of));
            let changes = set.contains("SET state = ") || set.contains("state = excluded.state");
            if is_of_failed_messages && changes {
                seen += 1;
                assert!(set.contains("reason = "), "{file}: no reason in {set}");
            }
        }
    }
    assert!(seen >= 16, "only {seen} statements were found");
}
