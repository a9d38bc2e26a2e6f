//! A publisher without anything around it: one channel, confirms, a window.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use messagekit::{Message, headers};
use messagekit_benches::Outcome;

use crate::place::Place;

/// Publishes the first `count` messages and returns how many were confirmed per second.
pub(crate) async fn publish(place: &Place, count: usize) -> Outcome<f64> {
    let channel = place.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut unconfirmed = FuturesUnordered::new();
    let started = Instant::now();
    for message in &place.messages[..count] {
        while unconfirmed.len() >= place.unconfirmed {
            taken(unconfirmed.next().await)?;
        }
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let routing_key = message.headers.text(headers::EVENT_TYPE).unwrap_or_default();
        let sent = channel.basic_publish(
            place.name.as_str().into(),
            routing_key.into(),
            options,
            &message.payload,
            properties(message),
        );
        unconfirmed.push(sent.await?);
    }
    while let Some(confirmed) = unconfirmed.next().await {
        taken(Some(confirmed))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    channel.close(200, "done".into()).await?;
    place.take(count).await?;
    Ok(count as f64 / seconds)
}

/// Demands a plain confirm.
pub(crate) fn taken(confirmed: Option<lapin::Result<Confirmation>>) -> Outcome<()> {
    match confirmed {
        Some(Ok(Confirmation::Ack(None))) => Ok(()),
        Some(Err(error)) => Err(error.into()),
        _ => Err("the broker refused a message".into()),
    }
}

/// As large as what the bridge sends.
pub(crate) fn properties(message: &Message) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in [
        ("x-messagekit-topic", "bench.bridge.1760000000000"),
        ("x-messagekit-partition", "3"),
        ("x-messagekit-offset", "12345"),
        ("x-messagekit-key", "account-123"),
    ] {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let text = |name| message.headers.text(name).unwrap_or_default();
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(text(headers::ID).into())
        .with_type(text(headers::EVENT_TYPE).into())
        .with_content_type(text(headers::CONTENT_TYPE).into())
        .with_headers(table)
}
