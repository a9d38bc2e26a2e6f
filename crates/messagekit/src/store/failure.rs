//! The reason why a message was set aside.

use std::time::Duration;

use crate::fnv::fnv1a;

/// The reason as one word. The failed message stores it, and it groups failed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error that may pass.
    Failed,
    /// The handler reported that a retry is useless.
    Permanent,
    /// The handler panicked.
    Panicked,
    /// The handler did not finish before its deadline.
    TooSlow,
    /// The handler reported an unavailable dependency for longer than the consumer waits. This costs no attempt.
    Unavailable,
    /// The failed message contradicts its marker: the marker is not `held` any more.
    Corrupt,
    /// Runs of the handler crashed the process.
    PoisonMessage,
    /// The handler's statements ended its transaction, or held the write lock for too long.
    Transaction,
    /// The transport could not read the data beside the payload.
    Unreadable,
    /// The payload does not match its type.
    Undecodable,
    /// The data has a newer major version than the handler supports.
    NewerVersion,
    /// The message has no id.
    MissingId,
    /// The id is empty, too long or not text.
    BadId,
    /// Header and payload name different ids.
    IdMismatch,
    /// The message has no type.
    MissingType,
    /// Header and payload name different types.
    TypeMismatch,
    /// The key is not UTF-8.
    BadKey,
    /// No handler is registered for the type, and the consumer's policy keeps such messages.
    UnknownType,
    /// The message is older than the consumer's dedup window, so it is unknown whether it was applied.
    OutsideWindow,
    /// A consumer of the queue rejected the message.
    Rejected,
    /// The message expired in the queue.
    Expired,
    /// The queue was full.
    QueueFull,
    /// The message was delivered more often than the queue allows.
    DeliveryLimit,
    /// No queue was bound for the message.
    Unroutable,
    /// The message has not run: an earlier message of its key is a failed message.
    KeyBlocked,
    /// The message is larger than the next broker accepts.
    TooLarge,
    /// A connector of Kafka Connect could not write the message.
    Connector,
    /// The broker dead-lettered the message without a reason.
    Unexplained,
}

crate::__words! {
    FailureKind {
        Failed: "failed",
        Permanent: "permanent",
        Panicked: "panicked",
        TooSlow: "too_slow",
        Unavailable: "unavailable",
        Corrupt: "corrupt",
        PoisonMessage: "poison_message",
        Transaction: "transaction",
        Unreadable: "unreadable",
        Undecodable: "undecodable",
        NewerVersion: "newer_version",
        MissingId: "missing_id",
        BadId: "bad_id",
        IdMismatch: "id_mismatch",
        MissingType: "missing_type",
        TypeMismatch: "type_mismatch",
        BadKey: "bad_key",
        UnknownType: "unknown_type",
        OutsideWindow: "outside_window",
        Rejected: "rejected",
        Expired: "expired",
        QueueFull: "queue_full",
        DeliveryLimit: "delivery_limit",
        Unroutable: "unroutable",
        KeyBlocked: "key_blocked",
        TooLarge: "too_large",
        Connector: "connector",
        Unexplained: "unexplained",
    }
}

impl FailureKind {
    /// Returns the kind whose [`as_str`](Self::as_str) is `word`, or `None` for an unknown word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The next step of a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The consumer retries it after this much database time.
    Retry(Duration),
    /// Only an operator can retry it.
    Dead,
}

/// The details of a failure that a failed message stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason as one word.
    pub kind: FailureKind,
    /// The error with its causes, in one line without NUL, at most 4,000 characters.
    pub error: String,
    /// The number of failed runs. The attempt that found the message unreadable counts as one.
    pub attempts: u32,
    /// The next step.
    pub next: Next,
    /// The wait before the next run that the handler asks for, in place of the consumer's backoff. The consumer makes it the next
    /// step; a store does not read it.
    pub asked: Option<Duration>,
    /// The generation under which the message was claimed; 0 unless a range is reprocessed. The message is set aside under the
    /// same generation, so a marker of a smaller generation does not settle it.
    pub generation: i32,
}

impl Failure {
    /// Maximum length of a stored error in characters.
    const MAX_ERROR_CHARS: usize = 4_000;

    /// Creates a failure that no retry can cure.
    pub fn permanent(kind: FailureKind, error: impl Into<String>) -> Self {
        Self { kind, error: clean(error.into()), attempts: 1, next: Next::Dead, asked: None, generation: 0 }
    }

    /// Creates a failure that may pass. The consumer decides how often it retries.
    pub fn retryable(kind: FailureKind, error: impl Into<String>) -> Self {
        Self { next: Next::Retry(Duration::ZERO), ..Self::permanent(kind, error) }
    }

    /// Creates the placeholder for a message that waits behind an earlier one of its key and has not run.
    pub fn behind() -> Self {
        Self {
            attempts: 0,
            ..Self::retryable(FailureKind::KeyBlocked, "waits for an earlier message of its key")
        }
    }

    /// Returns 16 hexadecimal digits that are equal for failures that differ only in numbers.
    ///
    /// The value is the 64-bit FNV-1a hash (Fowler, Noll, Vo) of the kind and the error, with each run of digits replaced by
    /// one `#`.
    pub fn fingerprint(&self) -> String {
        let mut in_number = false;
        let error = self.error.bytes().filter_map(|byte| {
            let was_in_number = std::mem::replace(&mut in_number, byte.is_ascii_digit());
            match (in_number, was_in_number) {
                (true, true) => None,
                (true, false) => Some(b'#'),
                (false, _) => Some(byte),
            }
        });
        let hash = fnv1a(self.kind.as_str().bytes().chain(error));
        format!("{hash:016x}")
    }
}

/// Removes control characters, which break tables and terminals, and NUL, which a text column refuses.
fn clean(error: String) -> String {
    let needs = |character: char| character.is_control() || character == '\u{2028}';
    if error.len() <= Failure::MAX_ERROR_CHARS && !error.contains(needs) {
        return error;
    }
    error
        .chars()
        .take(Failure::MAX_ERROR_CHARS)
        .map(|character| if needs(character) { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_ignore_numbers_and_nothing_else() {
        let of = |text: &str| Failure::retryable(FailureKind::Failed, text).fingerprint();
        assert_eq!(of("order 17 has 3 lines"), of("order 4711 has 12 lines"));
        assert_ne!(of("order 17 has 3 lines"), of("order 17 has 3 items"));
        assert_ne!(of("x"), Failure::permanent(FailureKind::Permanent, "x").fingerprint());
    }

    #[test]
    fn a_word_names_its_kind_and_no_other() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(FailureKind::from_word("Rejected"), None);
    }

    #[test]
    fn errors_lose_control_characters_and_excess() {
        let failure = Failure::permanent(FailureKind::Failed, format!("a\0b\n{}", "x".repeat(10_000)));
        assert!(failure.error.starts_with("a b x"));
        assert_eq!(failure.error.chars().count(), 4_000);
    }
}
