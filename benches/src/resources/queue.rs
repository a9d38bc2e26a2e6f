//! A quorum queue with its own exchange.

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use std::time::{Duration, Instant};

use super::topic::Watched;
use super::{remove_behind, unique};
use crate::frame::{Judge, Ledger, Outcome};

const PATIENCE: Duration = Duration::from_secs(60);

/// Exchange and queue have one name. The exchange routes every message to the queue.
pub(crate) struct Queue {
    pub(crate) name: String,
    url: String,
    pub(crate) connection: Connection,
    channel: Channel,
}

impl Queue {
    pub(crate) async fn make(url: &str) -> Outcome<Self> {
        let name = unique();
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(name.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
        let mut table = FieldTable::default();
        table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.as_str().into(), durable, table).await?;
        let (options, table) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(name.as_str().into(), name.as_str().into(), "#".into(), options, table).await?;
        Ok(Self { name, url: url.to_owned(), connection, channel })
    }

    /// Waits until the queue has `events` messages, or until no more arrive.
    pub(crate) async fn until(&self, events: usize) -> Outcome<Watched> {
        let began = Instant::now();
        let (mut first, mut latest) = (None, (0, Instant::now()));
        loop {
            let (count, now) = (self.count().await?, Instant::now());
            if count > latest.0 {
                latest = (count, now);
                first.get_or_insert((count, now));
            }
            if count as usize >= events || latest.1.elapsed() > PATIENCE {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (had, since) = first.ok_or("nothing arrived")?;
        let rate = f64::from(latest.0 - had) / (latest.1 - since).as_secs_f64();
        Ok(Watched { rate, seconds: (latest.1 - began).as_secs_f64() })
    }

    /// Returns the number of messages in the queue.
    pub(crate) async fn count(&self) -> Outcome<u32> {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = self.channel.queue_declare(self.name.as_str().into(), passive, FieldTable::default());
        Ok(queue.await?.message_count())
    }

    /// Drains the queue and returns the ledger of the events below `events`.
    pub(crate) async fn judge(&self, events: usize) -> Outcome<Ledger> {
        let channel = self.connection.create_channel().await?;
        let count = self.count().await?;
        channel.basic_qos(1000, BasicQosOptions::default()).await?;
        let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut deliveries =
            channel.basic_consume(self.name.as_str().into(), "judge".into(), options, table).await?;
        let mut judge = Judge::expecting(events);
        for taken in 1..=count {
            let next = tokio::time::timeout(PATIENCE, deliveries.next()).await;
            let delivery =
                next.map_err(|_| "a message of the queue cannot be read")?.ok_or("the queue ended")??;
            judge.see_payload(&delivery.data)?;
            if taken % 500 == 0 || taken == count {
                delivery.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        channel.close(200, "done".into()).await?;
        Ok(judge.verdict())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let (url, name) = (self.url.as_str(), self.name.as_str());
        remove_behind(format!("queue {name}"), async move {
            let connection = Connection::connect(url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
            channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await?;
            connection.close(200, "done".into()).await?;
            Ok(())
        });
    }
}
