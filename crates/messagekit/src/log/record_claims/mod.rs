//! Record claims: workers of one consumer share the records of a partition, each record under a lease of one worker.

mod claim;
mod claim_id;
mod claim_store;
mod claimer;
mod giving_back;
mod key_order;
#[cfg(test)]
mod key_order_bound_tests;
#[cfg(test)]
mod key_order_tests;
mod reading;
mod served;
mod start;
mod steps;
mod window;
#[cfg(test)]
mod window_tests;

pub use claim::{Claimed, ClaimedRecord, OnDeleted, RecordClaim, Which};
pub use claim_id::{ClaimHolder, RecordClaimId};
pub use claim_store::{ClaimPartition, ClaimPartitions, RecordClaims};
pub use claimer::RecordClaimer;
pub use window::{ClaimWindow, ClaimedRange, ClaimedRanges, NewClaim, Settlement};
