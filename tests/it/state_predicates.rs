//! The states that statements name are those of the state machine of failed messages.

use std::collections::BTreeSet;

use jiff::Timestamp;
use messagekit::operations::{Action, FailedMessageState, StateMachine};

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

#[test]
fn each_action_in_sql_begins_where_the_transition_table_says() {
    for engine in ["postgres", "sqlite"] {
        let file = format!("crates/messagekit-{engine}/src/tables/actions.rs");
        let text = read(&file);
        for action in [Action::Retry, Action::Discard, Action::Undo] {
            let from = states(|state| action.of(state).is_some());
            let constant = format!("{}: ", action.as_str().to_uppercase());
            let (_, statement) =
                text.split_once(&constant).unwrap_or_else(|| panic!("{file} has no {constant}"));
            let (_, predicate) = statement.split_once("AND state ").expect("the statement asks for a state");
            assert_eq!(named(&format!("state {predicate}")), Some(from), "{file}: {action}");
        }
    }
}
