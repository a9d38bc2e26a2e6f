//! Record claims: workers of one consumer share the records of a partition, each record under a lease of one worker.

mod call;
mod claim;
mod claim_grant;
mod claim_id;
mod claim_partition;
mod claim_store;
mod claimer;
mod failed_claims;
mod giving_back;
mod key_order;
#[cfg(test)]
mod key_order_bound_tests;
#[cfg(test)]
mod key_order_tests;
mod leased_message;
mod read_at_once;
mod reading;
mod remote_claims;
mod settled;
#[cfg(test)]
mod settled_tests;
mod shared_transaction;
mod sharing;
mod start;
mod steps;
mod turns;
mod window;
#[cfg(test)]
mod window_tests;
mod windows;

pub use claim::{Claimed, ClaimedRecord, OnDeleted, RecordClaim, Which};
pub use claim_id::{ClaimHolder, RecordClaimId};
pub use claim_partition::{ClaimPartition, ClaimPartitions, WindowDecision, WindowReplacement};
pub use claim_store::{DecideWindows, RecordClaims};
pub use claimer::RecordClaimer;
pub use leased_message::{LeaseOf, LeasedMessage};
pub use turns::ClaimTurns;
pub use window::{ClaimWindow, ClaimedRange, ClaimedRanges, MAX_CLAIM_RANGES, NewClaim, Settlement};
