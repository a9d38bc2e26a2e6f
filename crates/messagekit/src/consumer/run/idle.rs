//! Ends a run when nothing is left to do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::store::BoxFuture;
use crate::transport::{LagProbe, TopicList};
use crate::{Error, ErrorKind};

/// How soon the source is asked again, while it has messages that it has not delivered yet.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What a source is asked before a run ends by itself.
pub(super) struct IdleWatch {
    lag: Arc<dyn LagProbe>,
    topics: Vec<Arc<str>>,
    list: Option<Arc<dyn TopicList>>,
    asking: Option<BoxFuture<'static, Result<bool, Error>>>,
    pause: Pin<Box<Sleep>>,
}

impl IdleWatch {
    pub(super) fn new(
        lag: Option<Arc<dyn LagProbe>>,
        topics: &[Arc<str>],
        list: Option<Arc<dyn TopicList>>,
    ) -> Result<Self, Error> {
        let text = "source does not say what waits in it, so a run over it cannot end when it is idle";
        let lag = lag.ok_or_else(|| Error::new(ErrorKind::InvalidConfiguration, text))?;
        let pause = Box::pin(tokio::time::sleep(Duration::ZERO));
        Ok(Self { lag, topics: topics.to_vec(), list, asking: None, pause })
    }

    /// Forgets an answer that is on its way: something is in work again.
    pub(super) fn forget(&mut self) {
        self.asking = None;
    }

    /// Is ready once the source has nothing that is not settled. Call it while nothing is in work, and [`forget`](Self::forget) otherwise: an
    /// answer counts only if nothing was in work since the source was asked.
    pub(super) fn poll(&mut self, without_lane: bool, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let Some(asking) = &mut self.asking else {
                ready!(self.pause.as_mut().poll(cx));
                self.asking = Some(self.ask(without_lane));
                continue;
            };
            let answer = ready!(asking.as_mut().poll(cx));
            self.asking = None;
            match answer {
                Ok(true) => return Poll::Ready(Ok(())),
                Err(error) if !error.is_transient() => return Poll::Ready(Err(error)),
                Ok(false) | Err(_) => self.pause.as_mut().reset(Instant::now() + ASK_AGAIN),
            }
        }
    }

    /// Asks whether the source has nothing. Without a lane that is known only if none of its topics exists.
    fn ask(&self, without_lane: bool) -> BoxFuture<'static, Result<bool, Error>> {
        let (lag, list, topics) = (Arc::clone(&self.lag), self.list.clone(), self.topics.clone());
        Box::pin(async move {
            if !without_lane {
                return Ok(lag.lag().await?.iter().all(|partition| partition.messages == 0));
            }
            let Some(list) = list else { return Ok(false) };
            let existing = list.topics().await?;
            Ok(!topics.iter().any(|topic| existing.iter().any(|known| *known == **topic)))
        })
    }
}
