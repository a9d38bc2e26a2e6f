//! The duties that a store does without.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Attempts, FailedMessageRows, Failure, Follower, ParkingLimits, PartOf, Priming, Primings,
    ReceivedMessage, Retries, RetryLease, SetAsideOutcome,
};
use crate::{Error, ErrorKind, MessageId};

/// A duty of an [`Inbox`](super::Inbox) that a store does without. It remembers nothing, and refuses what would be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absent;

impl<S> PartOf<S> for Absent {
    const IS_PRESENT: bool = false;

    fn part_of(_: &S) -> &Self {
        &Self
    }
}

fn not_kept(consumer: &str, received: &ReceivedMessage) -> Error {
    let text = "the store keeps no failed messages, so this one stays where it is";
    Error::new(ErrorKind::InvalidConfiguration, text).with("consumer", consumer).with("message", &received.id)
}

/// The error of a priming over a store without primings.
pub(crate) fn no_primings(consumer: &str) -> Error {
    let text = "store keeps no primings, so nothing would say how far the consumer is: leave the priming out";
    Error::new(ErrorKind::InvalidConfiguration, text).with("consumer", consumer)
}

impl<Tx: Send> FailedMessageRows<Tx> for Absent {
    async fn oldest_return(&self, _: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        Ok(None)
    }

    async fn set_aside(
        &self,
        _: &mut Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        Err(not_kept(consumer, received).with("failure", failure.kind))
    }

    async fn park(
        &self,
        tx: &mut Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        _: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        self.set_aside(tx, consumer, received, failure).await
    }

    async fn park_behind(
        &self,
        _: &mut Tx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        _: ParkingLimits,
    ) -> Result<usize, Error> {
        behind.first().map_or(Ok(0), |first| Err(not_kept(consumer, first)))
    }
}

impl<Tx: Send> Retries<Tx> for Absent {
    async fn lease(&self, _: &str, _: u32, _: Duration) -> Result<Vec<RetryLease>, Error> {
        Ok(Vec::new())
    }

    async fn begin_run(&self, _: &str, _: &RetryLease, _: u32, _: Duration) -> Result<Option<u32>, Error> {
        Ok(None)
    }

    async fn followers(&self, _: &mut Tx, _: &str, _: i64, _: u32, _: u64) -> Result<Vec<Follower>, Error> {
        Ok(Vec::new())
    }

    async fn resolve(&self, _: &mut Tx, _: &str, _: &RetryLease, _: &[Follower]) -> Result<bool, Error> {
        Ok(false)
    }

    async fn fail(&self, _: &str, _: &RetryLease, _: &Failure) -> Result<bool, Error> {
        Ok(false)
    }

    async fn hand_back(&self, _: &str, _: &RetryLease, _: Duration) -> Result<bool, Error> {
        Ok(false)
    }
}

impl<Tx: Send> Attempts<Tx> for Absent {
    async fn begin_attempt(&self, _: &str, _: &MessageId, _: &str) -> Result<u32, Error> {
        Ok(0)
    }

    async fn clear_attempts(&self, _: &mut Tx, _: &str, _: &MessageId) -> Result<(), Error> {
        Ok(())
    }

    async fn withdraw_attempt(&self, _: &str, _: &MessageId, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn clear_finished_attempts(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

impl<Tx: Send> Primings<Tx> for Absent {
    async fn priming(&self, _: &str) -> Result<Option<Priming>, Error> {
        Ok(None)
    }

    async fn begin_priming(&self, _: &mut Tx, consumer: &str, _: u32) -> Result<bool, Error> {
        Err(no_primings(consumer))
    }

    async fn write_priming(&self, _: &mut Tx, _: &str, _: Priming) -> Result<(), Error> {
        Ok(())
    }
}
