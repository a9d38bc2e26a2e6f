//! A bare publisher: one channel, confirms, a window.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use messagekit::{Message, headers};

use crate::frame::Outcome;
use crate::resources::Queue;

/// Publishes messages with at most `window` unconfirmed ones, and waits for every confirm.
pub(in crate::cells) async fn publish(queue: &Queue, messages: &[Message], window: usize) -> Outcome<()> {
    let channel = queue.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut unconfirmed = FuturesUnordered::new();
    for message in messages {
        while unconfirmed.len() >= window {
            taken(unconfirmed.next().await)?;
        }
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let routing_key = message.headers.text(headers::EVENT_TYPE).unwrap_or_default();
        let sent = channel.basic_publish(
            queue.name.as_str().into(),
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
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// Requires a plain confirm.
pub(super) fn taken(confirmed: Option<lapin::Result<Confirmation>>) -> Outcome<()> {
    match confirmed {
        Some(Ok(Confirmation::Ack(None))) => Ok(()),
        Some(Err(error)) => Err(error.into()),
        _ => Err("the broker refused a message".into()),
    }
}

/// Returns properties as large as those that the bridge sends.
pub(super) fn properties(message: &Message) -> BasicProperties {
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
