//! What a consumer keeps in its database.

use super::{Attempts, FailedMessageRows, Markers, Positions, Primings, Retries, Store};

/// The store of a consumer: the markers and positions that each consumer needs, and up to four further duties.
///
/// A [`FullInbox`] has all of them by itself. A smaller store names each further duty as `Self`, as another value that it holds, or as
/// [`Absent`](super::Absent):
///
/// - Without **failed messages**, the only policy is [`Block`](crate::OnFailure::Block): a message that cannot be applied stops its lane,
///   and its position does not move.
/// - Without **retries**, but with failed messages, a consumer repeats a message in place until its attempts are used up, and handles each message by itself unless
///   batches are set.
/// - Without **attempts**, crashes are not counted: a message that ends its process is delivered again without limit. The
///   builder logs this.
/// - Without **primings**, a consumer cannot be primed.
///
/// A policy, a window and a treatment of unknown types that need an absent duty are refused when the consumer is built.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the store of a consumer",
    note = "take the store of an adapter: `messagekit_sqlite::SqliteStore`, or `messagekit::NoStore` without a database",
    note = "a store of your own implements `Markers`, `Positions` and `Inbox`"
)]
pub trait Inbox: Markers + Positions {
    /// Where the consumer's failed messages are.
    type FailedMessages: FailedMessageRows<Self::Tx> + PartOf<Self>;
    /// Who runs failed messages again. It needs [failed messages](Self::FailedMessages).
    type Retries: Retries<Self::Tx> + PartOf<Self>;
    /// Where the attempts of the consumer's runs are counted.
    type Attempts: Attempts<Self::Tx> + PartOf<Self>;
    /// Where the primings of the consumer are.
    type Primings: Primings<Self::Tx> + PartOf<Self>;

    /// Returns the part that keeps failed messages.
    fn failed_messages(&self) -> &Self::FailedMessages {
        PartOf::part_of(self)
    }

    /// Returns the part that runs failed messages again.
    fn retries(&self) -> &Self::Retries {
        PartOf::part_of(self)
    }

    /// Returns the part that counts attempts.
    fn attempts(&self) -> &Self::Attempts {
        PartOf::part_of(self)
    }

    /// Returns the part that keeps primings.
    fn primings(&self) -> &Self::Primings {
        PartOf::part_of(self)
    }
}

/// A store with every duty of an [`Inbox`], as the adapters of databases have it.
pub trait FullInbox:
    Markers
    + Positions
    + FailedMessageRows<<Self as Store>::Tx>
    + Retries<<Self as Store>::Tx>
    + Attempts<<Self as Store>::Tx>
    + Primings<<Self as Store>::Tx>
{
}

impl<S> FullInbox for S where
    S: Markers + Positions + FailedMessageRows<S::Tx> + Retries<S::Tx> + Attempts<S::Tx> + Primings<S::Tx>
{
}

impl<S: FullInbox> Inbox for S {
    type FailedMessages = Self;
    type Retries = Self;
    type Attempts = Self;
    type Primings = Self;
}

/// A duty of the store `S`: `S` itself, a value that it holds, or [`Absent`](super::Absent).
pub trait PartOf<S> {
    /// Whether the duty is done at all.
    const IS_PRESENT: bool;

    /// Returns the part.
    fn part_of(store: &S) -> &Self;
}

impl<S: Store> PartOf<S> for S {
    const IS_PRESENT: bool = true;

    fn part_of(store: &S) -> &Self {
        store
    }
}

/// Returns whether a store has a part.
pub(crate) const fn has<S, Part: PartOf<S>>() -> bool {
    Part::IS_PRESENT
}
