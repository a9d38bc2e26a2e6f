//! Starts ready messages within the limits of the gates and of messages in flight.

use std::sync::Arc;
use std::task::{Context, Poll};

use messagekit::adapter::{Lane, Subscriber};
use messagekit::gate::{BatchView, Pass};

use super::Running;
use crate::filter::Lookup;
use crate::job::Job;
use crate::sending::send;

impl<Sub: Subscriber> Running<Sub> {
    /// Starts ready messages, one of each lane in turn.
    pub(super) fn start(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut started, mut closed) = (false, Vec::new());
        while self.in_work < self.settings.unconfirmed
            && let Some(lane) = self.listed.pop_front()
        {
            let Some(state) = self.lanes.get_mut(&lane) else { continue };
            state.listed = false;
            let Some((job, bytes, is_new)) = state.peek().filter(|_| !state.leaving) else { continue };
            let is_forward = matches!(job, Job::Forward { .. });
            let is_looked_up = is_forward && !is_new && self.filter.is_some();
            let mut pass = None;
            if is_forward && !is_looked_up {
                let view = BatchView { lane, messages: 1, bytes };
                let admitted = match closed.is_empty() {
                    true => self.gates.poll_admit(&view, cx),
                    false => Poll::Pending,
                };
                let Poll::Ready((admitted, _)) = admitted else {
                    closed.push(lane);
                    continue;
                };
                pass = Some(admitted);
            }
            let Some((position, job)) = state.start() else { continue };
            self.in_work += 1;
            match &mut self.filter {
                Some(filter) if is_looked_up => filter.look_up(Lookup { lane, position, job }),
                _ => self.send(lane, position, job, pass),
            }
            self.look_at(lane);
            started = true;
        }
        for lane in closed.into_iter().rev() {
            self.lanes.get_mut(&lane).into_iter().for_each(|state| state.listed = true);
            self.listed.push_front(lane);
        }
        started
    }

    fn send(&mut self, lane: Lane, position: u64, job: Job, pass: Option<Pass>) {
        if matches!(job, Job::Forward { .. }) {
            self.settings.stats.in_flight();
        }
        self.sending.push(Box::pin(send(Arc::clone(&self.settings), lane, position, job, pass)));
    }
}
