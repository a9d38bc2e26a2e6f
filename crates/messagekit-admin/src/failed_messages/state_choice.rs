//! The states that a filter selects.

use messagekit::operations::FailedMessageState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One state, or all states of messages that are still to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateChoice {
    /// Neither `resolved` nor `discarded`.
    Open,
    RetryScheduled,
    /// Waiting for an earlier failed message of its key.
    Blocked,
    Dead,
    RetryRequested,
    Resolved,
    Discarded,
}

impl StateChoice {
    pub(crate) const WORDS: [(&'static str, Self); 7] = [
        ("open", Self::Open),
        ("retry_scheduled", Self::RetryScheduled),
        ("blocked", Self::Blocked),
        ("dead", Self::Dead),
        ("retry_requested", Self::RetryRequested),
        ("resolved", Self::Resolved),
        ("discarded", Self::Discarded),
    ];

    /// Returns the state, if the choice is one.
    pub(crate) fn one(self) -> Option<FailedMessageState> {
        match self {
            Self::Open => None,
            Self::RetryScheduled => Some(FailedMessageState::RetryScheduled),
            Self::Blocked => Some(FailedMessageState::Blocked),
            Self::Dead => Some(FailedMessageState::Dead),
            Self::RetryRequested => Some(FailedMessageState::RetryRequested),
            Self::Resolved => Some(FailedMessageState::Resolved),
            Self::Discarded => Some(FailedMessageState::Discarded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_can_be_chosen_by_its_word() {
        for state in FailedMessageState::ALL {
            let (_, choice) =
                StateChoice::WORDS.iter().find(|(word, _)| *word == state.as_str()).expect("its word");
            assert_eq!(choice.one(), Some(state));
        }
    }

    #[test]
    fn words_are_those_of_the_documents() {
        for (word, choice) in StateChoice::WORDS {
            assert_eq!(serde_json::to_value(choice).expect("a word is JSON"), word);
        }
    }
}
