//! One message at a time, as a hand-written bridge works: claim it, publish it, wait for the confirm, commit.

use std::future::poll_fn;
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use messagekit::adapter::{Incoming, Source, Subscriber};
use messagekit::{Store, claim, headers};
use messagekit_kafka::Kafka;

use super::bare::{properties, taken};
use crate::frame::Outcome;
use crate::resources::{Database, Queue, Topic};
use crate::settings::Settings;

/// Forwards `count` messages and returns the rate per second.
pub(super) async fn forward(settings: &Settings, topic: &Topic, queue: &Queue, count: usize) -> Outcome<f64> {
    let database = Database::migrated(settings.database()?).await?;
    let store = database.store().await?;
    let name = topic.name.as_str();
    let mut subscriber = Kafka::new(settings.kafka()?).topics([name]).bind(name, &[]).await?;
    let channel = queue.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (mut done, mut started) = (0, None);
    while done < count {
        let incoming = poll_fn(|cx| subscriber.poll_next(cx)).await.ok_or("the source ended")?;
        let delivery = match incoming {
            Ok(Incoming::Message(delivery)) => delivery,
            Err(error) if !error.is_transient() => return Err(error.into()),
            _ => continue,
        };
        started.get_or_insert_with(Instant::now);
        let message = &delivery.message;
        let mut tx = store.begin().await?;
        let id = message.headers.text(headers::ID).unwrap_or_default().parse()?;
        claim(&store, &mut tx, name, &id).await?;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let routing_key = message.headers.text(headers::EVENT_TYPE).unwrap_or_default();
        let sent = channel.basic_publish(
            queue.name.as_str().into(),
            routing_key.into(),
            options,
            &message.payload,
            properties(message),
        );
        taken(Some(sent.await?.await))?;
        store.commit(tx).await?;
        subscriber.settle(&mut vec![delivery.receipt]);
        done += 1;
    }
    let seconds = started.ok_or("nothing was forwarded")?.elapsed().as_secs_f64();
    poll_fn(|cx| subscriber.poll_close(cx)).await?;
    channel.close(200, "done".into()).await?;
    Ok(count as f64 / seconds)
}
