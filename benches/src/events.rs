//! The event of every cell.

use messagekit::{Envelope, Event, Message, codec};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// About 1 KiB of JSON that does not compress to nothing.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "bench.event.made", key = "account")]
pub struct Made {
    /// The key: one of [`ACCOUNTS`].
    pub account: String,
    /// Different in each event of a cell.
    pub number: u64,
    /// The bulk.
    pub text: String,
}

/// How many keys the events have.
pub const ACCOUNTS: usize = 1_000;

/// The topic of the events.
pub const TOPIC: &str = Made::TOPIC;

/// Makes `n` events, numbered from 0.
pub fn events(n: usize) -> impl Iterator<Item = Made> {
    (0..n).map(|number| {
        let word = |word: usize| format!("{:016x} ", number.wrapping_mul(0x9e37_79b9 + word));
        let text = (0..48).map(word).collect();
        Made { account: format!("account-{}", number % ACCOUNTS), number: number as u64, text }
    })
}

/// Encodes `n` events as a service would.
///
/// # Errors
/// Never, unless the event breaks a rule of the wire form.
pub fn messages(n: usize) -> Outcome<Vec<Message>> {
    events(n).map(|made| Ok(codec::encode(&Envelope::new(made), "bench")?)).collect()
}
