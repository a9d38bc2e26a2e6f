//! Records written to the topic by hand, in the form of Debezium or of a service in Python.

use std::time::Duration;

use messagekit::MessageId;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::broker::client;
use crate::names::Names;

/// The time that the broker has to confirm.
const ANSWER: Duration = Duration::from_secs(120);

/// A record about an order.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    key: String,
    payload: String,
    headers: Option<OwnedHeaders>,
}

impl Record {
    /// Returns the record that Debezium writes from the outbox: header `id` and similar ones, and headers without a value.
    pub(crate) fn of_debezium(id: &MessageId, order: &str, customer: &str, pence: i64) -> Self {
        let payload = json!({
            "eventId": id.as_str(), "eventType": "orders.order.placed", "aggregateId": customer,
            "occurredAt": "2026-01-02T03:04:05Z", "source": "order-service", "dataVersion": "1.0",
            "order_id": order, "customer": customer, "country": "Norway", "pence": pence,
        });
        let headers = [
            ("id", Some(id.as_str())),
            ("eventType", Some("orders.order.placed")),
            ("contentType", Some("application/json")),
            ("traceparent", None),
            ("createdAt", Some("2026-01-02T03:04:05Z")),
            ("headers", None),
        ];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }));
        Self { key: customer.to_owned(), payload: payload.to_string(), headers: Some(headers) }
    }

    /// Returns the record of the Python package of the same name: no headers, and the envelope's fields in snake_case.
    pub(crate) fn of_python(id: &MessageId, order: &str, customer: &str, pence: i64) -> Self {
        let payload: Value = json!({
            "event_id": id.as_str(), "event_type": "orders.order.placed", "aggregate_id": customer,
            "occurred_at": "2026-01-02T03:04:05.678901+00:00", "source": "order-service", "data_version": "1.0",
            "correlation_id": null, "causation_id": null, "metadata": {},
            "order_id": order, "customer": customer, "country": "Norway", "pence": pence,
        });
        Self { key: customer.to_owned(), payload: payload.to_string(), headers: None }
    }
}

/// Writes records to the orders' topic, each to its partition and in this order, whatever is repeated on the way. Returns
/// when the broker has all of them.
pub(crate) async fn send(names: &Names, records: impl IntoIterator<Item = (i32, Record)>) {
    let producer: FutureProducer =
        client().set("enable.idempotence", "true").create().expect("a client can be made");
    let sent = records.into_iter().map(|(partition, record)| {
        let to =
            FutureRecord::to(&names.orders).partition(partition).key(&record.key).payload(&record.payload);
        let to = match record.headers.clone() {
            Some(headers) => to.headers(headers),
            None => to,
        };
        producer.send_result(to).map_err(|(error, _)| error).expect("the queue takes it")
    });
    for confirmation in sent.collect::<Vec<_>>() {
        let confirmed = tokio::time::timeout(ANSWER, confirmation).await.expect("the broker answers");
        confirmed.expect("the client lives on").map_err(|(error, _)| error).expect("the broker takes it");
    }
}
