//! Claims of messages in memory.

use messagekit::adapter::ClaimRequest;
use messagekit::{Claim, Error, MessageId};

use super::marker::Marker;
use super::tables::Tables;
use super::tx::MemoryTx;

impl Tables {
    /// Returns the marker as seen by a transaction.
    pub(super) fn marker_in(&self, tx: &MemoryTx, key: &(String, MessageId)) -> Option<Marker> {
        tx.writes.markers.get(key).or_else(|| self.markers.get(key)).copied()
    }

    pub(super) fn claim(
        &mut self,
        tx: &mut MemoryTx,
        consumer: &str,
        request: &ClaimRequest,
    ) -> Result<Claim, Error> {
        let key = (consumer.to_owned(), request.id.clone());
        self.locks.marker(tx.number, &key)?;
        if self.marker_in(tx, &key).is_none_or(|marker| marker.yields_to(request.generation)) {
            let behind = self.is_held(tx, consumer, request);
            let (claim, answer) =
                if behind { (Claim::Held, Claim::KeyBlocked) } else { (Claim::Done, Claim::Fresh) };
            tx.writes.markers.insert(key.clone(), Marker::new(claim, request.generation));
            tx.writes.fresh.insert(key);
            return Ok(answer);
        }
        let known = self.marker_in(tx, &key).map_or(Claim::Done, |marker| marker.claim);
        self.only_looked(tx, &key);
        Ok(known)
    }

    /// Unlocks a marker that this transaction only read: a finished row must not block others.
    pub(super) fn only_looked(&mut self, tx: &MemoryTx, key: &(String, MessageId)) {
        if !tx.writes.markers.contains_key(key) {
            self.locks.unlock_marker(key);
        }
    }
}
