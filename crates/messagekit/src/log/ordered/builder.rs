//! Makes an ordered reader.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::merge::MergeCore;
use super::merge_settings::MergeSettings;
use super::reader::OrderedReader;
use super::stats::OrderedStats;
use super::topic_reader::{Followed, OrderedSource, TopicReader};
use crate::log::{Bounds, Log, Start};
use crate::store::NextOffset;
use crate::{Error, ErrorKind};

/// The topics and bounds of an [`OrderedReader`].
#[derive(Clone, Default)]
pub struct OrderedReaderBuilder {
    sources: Vec<OrderedSource>,
    settings: MergeSettings,
    batch_size: Option<usize>,
    max_held: Option<usize>,
    look_every: Option<Duration>,
    stats: OrderedStats,
    /// Where an earlier reader has come to, and the time that it had reached.
    resumed: Option<(Vec<NextOffset>, Option<Timestamp>)>,
}

impl OrderedReader {
    /// Begins to choose topics.
    pub fn builder() -> OrderedReaderBuilder {
        OrderedReaderBuilder::default()
    }
}

impl OrderedReaderBuilder {
    /// Adds a topic. Each is read from one log; two topics may be of different logs.
    #[must_use]
    pub fn source(mut self, log: Arc<dyn Log>, topic: impl Into<Arc<str>>, start: Start) -> Self {
        self.sources.push(OrderedSource { log, topic: topic.into(), start });
        self
    }

    /// Sets how many records a poll returns at most: 10,000 unless set.
    #[must_use]
    pub fn batch_size(mut self, records: usize) -> Self {
        self.batch_size = Some(records);
        self
    }

    /// Sets how many records are held at most, besides one of each partition and a page of each topic: five batches unless set.
    #[must_use]
    pub fn max_held(mut self, records: usize) -> Self {
        self.max_held = Some(records);
        self
    }

    /// Sets how many bytes the records that are held have at most, with the same exceptions: 256 MiB unless set.
    #[must_use]
    pub fn max_held_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Releases nothing later than this time before every partition has reached it, or the end that it had when the reader was opened.
    #[must_use]
    pub fn cutoff(mut self, time: Timestamp) -> Self {
        self.settings.cutoff = Some(time);
        self
    }

    /// Lets the others go on when a partition has brought nothing for this time while it was read. Without it they wait for its end.
    #[must_use]
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle_timeout = Some(time);
        self
    }

    /// Sets how far ahead of this machine's clock the time of a record may lie before it is cut: an hour unless set.
    #[must_use]
    pub fn max_ahead(mut self, time: Duration) -> Self {
        self.settings.max_ahead = time;
        self
    }

    /// Sets how often a live reader looks for partitions that were added to its topics: every 30 s unless set.
    #[must_use]
    pub fn look_for_partitions_every(mut self, time: Duration) -> Self {
        self.look_every = Some(time);
        self
    }

    /// Returns a live view of the readers that this builder and its clones open, for dashboards: also of those that
    /// [`prime`](crate::Consumer::prime) opens. They are counted together, also in their state.
    pub fn stats(&self) -> OrderedStats {
        self.stats.clone()
    }

    /// Opens the reader: notes where each partition begins and ends now, and reads nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] without a topic, for a topic that is there twice, and for a batch or a buffer without a record.
    /// [`ErrorKind::NotFound`] for a topic that does not exist or has no partition. Those of [`Start::offsets`]. A transient error if a
    /// log does not answer: retry.
    pub async fn open(self) -> Result<OrderedReader, Error> {
        let (batch_size, max_held) = self.check()?;
        let now = Timestamp::now();
        let (resumed, released) = self.resumed.unzip();
        let resumed = resumed.unwrap_or_default();
        let found = try_join_all(self.sources.iter().map(|source| look(source, &resumed, now))).await?;
        let mut followed: Vec<Followed> = found.into_iter().flatten().collect();
        followed.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        let topics = self.sources.into_iter().map(|source| TopicReader::open(source, &followed));
        let topics = try_join_all(topics).await?;
        let settings = MergeSettings { max_records: max_held, ..self.settings };
        let look_every = self.look_every.unwrap_or(Duration::from_secs(30));
        let core = MergeCore::new(followed.len(), settings).resume_at(released.flatten());
        Ok(OrderedReader::new(topics, followed, core, batch_size, look_every, self.stats))
    }

    /// Begins at these positions, and at the earliest record of partitions without one, behind a time that was released before.
    pub(crate) fn resume_at(mut self, positions: Vec<NextOffset>, released: Option<Timestamp>) -> Self {
        self.resumed = Some((positions, released));
        self
    }

    /// Returns the topics, each with its log.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &dyn Log)> {
        self.sources.iter().map(|source| (&source.topic, source.log.as_ref()))
    }

    fn check(&self) -> Result<(NonZeroUsize, usize), Error> {
        let wrong = |text: &'static str| Error::new(ErrorKind::InvalidConfiguration, text);
        if self.sources.is_empty() {
            return Err(wrong("ordered reader has no topic"));
        }
        for (index, source) in self.sources.iter().enumerate() {
            if self.sources[..index].iter().any(|other| other.topic == source.topic) {
                return Err(wrong("duplicate topic: name each topic once").with("topic", &source.topic));
            }
        }
        let batch_size = self.batch_size.unwrap_or(10_000);
        let max_held = self.max_held.unwrap_or(batch_size.saturating_mul(5));
        let batch_size =
            NonZeroUsize::new(batch_size).ok_or_else(|| wrong("batch size is 0: it is 1 at least"))?;
        if max_held == 0 || self.settings.max_bytes == 0 {
            return Err(wrong("ordered reader may hold nothing: it holds a record and a byte at least"));
        }
        Ok((batch_size, max_held))
    }
}

impl std::fmt::Debug for OrderedReaderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics: Vec<_> = self.sources.iter().map(|source| (&source.topic, &source.start)).collect();
        f.debug_struct("OrderedReaderBuilder")
            .field("topics", &topics)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Returns where each partition of a topic begins and ends.
async fn look(
    source: &OrderedSource,
    resumed: &[NextOffset],
    now: Timestamp,
) -> Result<Vec<Followed>, Error> {
    let OrderedSource { log, topic, start } = source;
    let named = |error: Error| match error.context("topic") {
        Some(_) => error,
        None => error.with("topic", topic),
    };
    let bounds: Vec<Bounds> = log.bounds(topic).await.map_err(named)?;
    if bounds.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "topic has no partition").with("topic", topic));
    }
    let own: Vec<_> = resumed.iter().filter(|position| position.topic == *topic).collect();
    let starts = match own[..] {
        [] => start.offsets(log.as_ref(), topic, &bounds, now).await.map_err(named)?,
        _ => bounds
            .iter()
            .map(|bounds| resumed_at(&own, bounds).map_err(named))
            .collect::<Result<_, Error>>()?,
    };
    let followed = bounds.iter().zip(starts).map(|(bounds, start)| Followed {
        topic: topic.clone(),
        partition: bounds.partition,
        start,
        end: bounds.end,
        reached: start,
        waited: Duration::ZERO,
        fed: None,
    });
    Ok(followed.collect())
}

/// Returns where reading goes on in a partition. Its reader reports records that were deleted meanwhile.
fn resumed_at(positions: &[&NextOffset], bounds: &Bounds) -> Result<i64, Error> {
    let own = positions.iter().filter(|position| position.partition == bounds.partition);
    let next = own.map(|position| position.next).min().unwrap_or(bounds.earliest);
    if next > bounds.end {
        let text =
            "partition has no record at the offset that was handled last: it was restored, or made again";
        return Err(bounds.out_of_range(text, next));
    }
    Ok(next)
}
