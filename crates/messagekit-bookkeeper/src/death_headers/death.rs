//! The reason why a message was dead-lettered.

use messagekit::adapter::FailureKind;
use messagekit::{Message, headers};

/// The reason why a message was dead-lettered.
#[derive(Debug)]
pub(super) struct Death {
    /// The queue, or the Kafka program, that dead-lettered it; `None` if unknown.
    pub(super) at: Option<String>,
    /// The redelivery target.
    pub(super) return_to: Option<String>,
    pub(super) kind: FailureKind,
    pub(super) error: String,
    /// How often it was dead-lettered for this reason.
    pub(super) times: u32,
}

impl Death {
    /// Describes a message without readable headers.
    pub(super) fn unexplained(message: &Message) -> Self {
        let reason = match message.headers.get(headers::X_DEATH) {
            Some(_) => "and its account of the death cannot be read",
            None => "without a reason",
        };
        Self {
            at: None,
            return_to: None,
            kind: FailureKind::Unexplained,
            error: format!("kept in {:?} {reason}: where it died is not known", short(&message.topic)),
            times: 1,
        }
    }
}

/// Returns the first 200 characters of a name.
pub(super) fn short(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}
