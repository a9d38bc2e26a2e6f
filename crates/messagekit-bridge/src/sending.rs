//! Publishes one message and reports the result.

use std::sync::Arc;

use messagekit::adapter::{Lane, PublishError, PublishErrorKind, PublishSpans, Published, Publisher};
use messagekit::gate::Pass;
use messagekit::{Error, ErrorKind, Message, crash};
use tokio::time::Instant;

use super::job::Job;
use super::settings::Settings;

/// Result of one publish.
pub(super) struct Sent {
    pub(super) lane: Lane,
    pub(super) position: u64,
    pub(super) job: Job,
    /// Permits of the gates; dead letters need none.
    pub(super) pass: Option<Pass>,
    pub(super) answer: Published,
}

/// Publishes the message of a job without copying the payload.
pub(super) async fn send(
    settings: Arc<Settings>,
    lane: Lane,
    position: u64,
    job: Job,
    pass: Option<Pass>,
) -> Sent {
    let (job, answer) = match job {
        Job::Forward { target, id, message } => {
            pass.iter().for_each(|pass| pass.started(1));
            let started = Instant::now();
            let (message, answer) = settings.publish(&*settings.targets[target].publisher, message).await;
            crash::point("bridge.published");
            if answer.is_ok() {
                settings.metrics.confirm_seconds.observe(started.elapsed().as_secs_f64());
            }
            (Job::Forward { target, id, message }, answer)
        }
        Job::Bury { kind, dead_letter } => {
            let (dead_letter, answer) =
                settings.publish(&*settings.dead_letters.publisher, dead_letter).await;
            (Job::Bury { kind, dead_letter }, answer)
        }
    };
    Sent { lane, position, job, pass, answer }
}

impl Settings {
    async fn publish(&self, publisher: &dyn Publisher, message: Message) -> (Message, Published) {
        let batch = [message];
        let spans = PublishSpans::begin(&self.name, publisher.system(), &batch);
        let mut answers = publisher.publish(&batch).await;
        spans.end(&answers);
        let answer = answers.pop().unwrap_or_else(|| {
            let error = Error::new(ErrorKind::OutcomeUnknown, "publisher answered nothing");
            Err(PublishError { refusal: PublishErrorKind::Unknown, error })
        });
        let [message] = batch;
        (message, answer)
    }
}
