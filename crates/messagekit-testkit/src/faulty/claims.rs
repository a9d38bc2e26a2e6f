//! A store with one fault in its claims.

use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::{Claim, Error, ErrorKind, MessageId, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl FaultyStore {
    pub(super) fn seen(&self, claim: &ClaimRequest) -> ClaimRequest {
        let mut seen = claim.clone();
        if self.is(Fault::IdsIgnoreCase) {
            seen.id = MessageId::from_stored(&claim.id.as_str().trim().to_lowercase());
        }
        self.asks_about_the_key(&mut seen);
        seen
    }

    /// Claims in a transaction of its own, which commits.
    async fn claim_at_once(&self, consumer: &str, claims: &[ClaimRequest]) -> Result<Vec<Claim>, Error> {
        let mut tx = self.inner.begin().await?;
        let answers = self.inner.claim(&mut tx, consumer, claims).await?;
        self.inner.commit(tx).await?;
        Ok(answers)
    }

    pub(super) async fn claim_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        claims: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        match self.fault {
            Some(Fault::ClaimSurvivesRollback | Fault::MarkerWithoutEffects) => {
                self.claim_at_once(consumer, claims).await
            }
            Some(Fault::ClaimLooksFirst) => {
                let known = claims.iter().map(|claim| self.inner.marker(consumer, &claim.id));
                Ok(known.map(|known| known.unwrap_or(Claim::Fresh)).collect())
            }
            Some(Fault::ClaimTakesRivalsForDone) => {
                // Probe in another transaction: a refusal ends the transaction that receives it.
                let mut probe = self.inner.begin().await?;
                match self.inner.claim(&mut probe, consumer, claims).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(vec![Claim::Done; claims.len()]),
                    _ => {
                        drop(probe);
                        self.inner.claim(tx.inner(), consumer, claims).await
                    }
                }
            }
            Some(Fault::ClaimsRunOutOfParameters) if claims.len() > 500 => {
                Err(Error::new(ErrorKind::Other, "too many parameters"))
            }
            _ => self.inner.claim(tx.inner(), consumer, claims).await,
        }
    }
}
