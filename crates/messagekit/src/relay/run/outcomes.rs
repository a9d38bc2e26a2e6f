//! Results of the started statements and calls.

use std::sync::Arc;
use std::time::Duration;

use super::{Deleted, EAGER, Leasing, Running};
use crate::relay::Page;
use crate::relay::sending::{Sent, send};
use crate::relay::settings::RENEWALS;
use crate::{Error, ErrorKind, crash};

impl Running {
    pub(super) fn leased(&mut self, now: Duration, leasing: Leasing) -> Result<(), Error> {
        match leasing {
            Leasing::Answered { valid_until, answer: Ok(leases) } => {
                crash::point("relay.leased");
                self.leasing.succeeded();
                self.has_served = true;
                self.shards.leased(valid_until, &leases);
                if leases.held.is_empty() {
                    // Without shards, no read runs that could end the outage of reads.
                    self.reading.succeeded();
                }
                self.state().valid_until = Some(self.started + valid_until);
                self.answers();
            }
            Leasing::Answered { answer: Err(error), .. } => {
                self.leasing.failed(now, self.settings.lease / RENEWALS);
                self.lease_at = now;
                return self.silent(error);
            }
            Leasing::HandedOver(Ok(())) => {}
            Leasing::HandedOver(Err(error)) => return self.silent(error),
            Leasing::Left(Ok(())) => self.left(),
            Leasing::Left(Err(error)) => {
                self.leasing.failed(now, self.settings.lease / RENEWALS);
                return self.silent(error);
            }
        }
        Ok(())
    }

    pub(super) fn was_read(&mut self, now: Duration, answer: Result<Page, Error>) -> Result<(), Error> {
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                self.shards.unanswered();
                self.admission.unanswered();
                self.page.unanswered();
                self.reading.failed(now, Duration::MAX);
                return self.silent(error);
            }
        };
        self.reading.succeeded();
        self.answers();
        self.admission.read(now, page.rows.len());
        let bytes = page.rows.iter().map(|event| event.message.size()).sum();
        self.page.read(page.rows.len(), bytes, page.more);
        if self.stopping {
            self.shards.unanswered();
            return Ok(());
        }
        if !page.rows.is_empty() {
            crash::point("relay.read");
            let poll = self.settings.poll;
            self.eager_until = now + poll;
            self.poll_at = self.poll_at.min(now + poll / EAGER);
        }
        for part in self.shards.answered(now, page) {
            self.state().counts.unconfirmed += part.rows.len() as u64;
            let (settings, instance) = (Arc::clone(&self.settings), Arc::clone(&self.instance));
            self.sending.push(Box::pin(send(settings, instance, part)));
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, now: Duration, sent: Sent) {
        self.page.published(sent.ended.confirmed.len(), sent.took);
        let mut state = self.state();
        let counts = &mut state.counts;
        counts.published += sent.ended.confirmed.len() as u64;
        counts.repeated += sent.repeated;
        counts.rejected += sent.rejected;
        counts.set_aside += sent.set_aside;
        counts.unconfirmed -= sent.rows;
        drop(state);
        if sent.fenced {
            self.lease_soon(now);
        }
        self.shards.ended(now, sent.ended);
    }

    pub(super) fn deleted(&mut self, now: Duration, (rows, answer): Deleted) -> Result<(), Error> {
        match answer {
            Ok(()) => {
                crash::point("relay.settled");
                self.shards.confirmed.deleted(&rows);
                self.deleting.succeeded();
                self.answers();
                Ok(())
            }
            Err(error) => {
                self.shards.confirmed.put_back(rows);
                self.deleting.failed(now, Duration::MAX);
                self.silent(error)
            }
        }
    }

    /// Records that the database did not answer. An error that waiting does not cure ends the relay.
    pub(super) fn silent(&mut self, error: Error) -> Result<(), Error> {
        if self.is_final(&error) {
            return Err(error);
        }
        self.reporter.silent(&self.settings, &error);
        Ok(())
    }

    /// Returns whether waiting does not cure an error. Before the first successful lease, the setup is wrong. After it, a proxy
    /// may return nonsense, or a password may have changed, until an operator corrects it.
    pub(super) fn is_final(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Schema | ErrorKind::Corrupt | ErrorKind::Closed => true,
            _ => !error.is_transient() && !self.has_served,
        }
    }

    /// Records that the database answers.
    pub(super) fn answers(&mut self) {
        let is_troubled = self.leasing.is_troubled()
            || self.reading.is_troubled()
            || self.deleting.is_troubled()
            || self.delayed.is_troubled();
        if !is_troubled {
            self.reporter.answers(&self.settings);
        }
    }
}
