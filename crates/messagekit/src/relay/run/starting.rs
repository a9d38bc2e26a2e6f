//! Starts statements: leases, reads and deletions.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::{EAGER, Leasing, Running};
use crate::relay::settings::{LEASES_APART, RENEWALS};
use crate::relay::single_flight::{PATIENCE, in_time};

impl Running {
    /// Starts everything that may start.
    pub(super) fn start(&mut self, now: Duration, cx: &mut Context<'_>) -> bool {
        let started = self.start_leasing(now) | self.start_deleting(now);
        if self.stopping {
            return started;
        }
        if self.poll_at <= now {
            let poll = self.settings.poll;
            self.poll_at = now + if now < self.eager_until { poll / EAGER } else { poll };
            self.shards.wake();
        }
        started | self.delayed.start(now, &self.settings) | self.start_reading(now, cx)
    }

    fn start_leasing(&mut self, now: Duration) -> bool {
        if self.shards.take_lost() {
            self.lease_soon(now);
        }
        if !self.leasing.may_start(now) {
            return false;
        }
        let (settings, instance) = (Arc::clone(&self.settings), Arc::clone(&self.instance));
        let lease = settings.lease;
        if self.stopping && self.shards.valid_until().is_zero() {
            // The relay has left, or never had a shard: a renewal would take some.
            return false;
        }
        if self.stopping && self.shards.waits_in_vain(now) {
            self.leasing.start(async move {
                Leasing::Left(in_time("hand over", lease, settings.reader.hand_over(&instance, &[])).await)
            });
            return true;
        }
        if self.lease_at <= now {
            // Measured before the request: the database counts from a later time.
            let valid_until = now + lease;
            self.lease_at = now + lease / RENEWALS;
            self.leasing.start(async move {
                let answer =
                    in_time("lease of the outbox", lease, settings.reader.lease(&instance, lease)).await;
                Leasing::Answered { valid_until, answer }
            });
            return true;
        }
        if self.stopping {
            return false;
        }
        let surplus = self.shards.take_surplus(now);
        if surplus.is_empty() {
            return false;
        }
        self.leasing.start(async move {
            Leasing::HandedOver(
                in_time("hand over", lease, settings.reader.hand_over(&instance, &surplus)).await,
            )
        });
        true
    }

    /// Requests the leases before their time.
    pub(super) fn lease_soon(&mut self, now: Duration) {
        let requested = self.lease_at.saturating_sub(self.settings.lease / RENEWALS);
        self.lease_at = self.lease_at.min(now.max(requested + LEASES_APART));
    }

    fn start_reading(&mut self, now: Duration, cx: &mut Context<'_>) -> bool {
        if !self.reading.may_start(now) || !self.shards.may_read(now) {
            return false;
        }
        let Some(events) = self.admission.admit(now, self.page.events(), cx) else { return false };
        let Some(read) = self.shards.start_read(now) else { return false };
        let (settings, instance) = (Arc::clone(&self.settings), Arc::clone(&self.instance));
        self.state().counts.reads += 1;
        self.reading.start(async move {
            let reader = &settings.reader;
            let page = reader.pending(&instance, &read.wanted, &read.except, &read.paused, events);
            in_time("read of the outbox", PATIENCE, page).await
        });
        true
    }

    fn start_deleting(&mut self, now: Duration) -> bool {
        if !self.deleting.may_start(now) {
            return false;
        }
        let rows = self.shards.confirmed.take();
        if rows.is_empty() {
            return false;
        }
        let settings = Arc::clone(&self.settings);
        self.state().counts.deletes += 1;
        self.deleting.start(async move {
            let answer =
                in_time("delete of what was published", PATIENCE, settings.reader.published(&rows)).await;
            (rows, answer)
        });
        true
    }
}
