//! Records of other writers.

use std::sync::Arc;

use messagekit::{Message, headers};
use messagekit_kafka::MORE_HEADERS;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{ADMIN, blocking, join, kafka, topic};

/// Writes one record as another client would and reads it.
async fn read_back(
    make: impl for<'a> FnOnce(BaseRecord<'a, str, [u8]>) -> BaseRecord<'a, str, [u8]> + Send + 'static,
) -> Message {
    let topic: Arc<str> = topic(1, &[]).await;
    let name = topic.clone();
    blocking(move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        producer.send(make(BaseRecord::to(&name))).map_err(|(error, _)| error).unwrap();
        producer.flush(ADMIN).unwrap();
    })
    .await;
    join(&kafka(), &topic, &unique("consumer")).await.message().await.message
}

#[test]
fn a_tombstone_is_an_empty_payload_and_a_null_key_is_not_empty() {
    block_on(async {
        let tombstone = read_back(|record| record.key("k")).await;
        assert_eq!(tombstone.headers.text(headers::TOMBSTONE), Some("true"));
        let empty = read_back(|record| record.payload(b"").key("k")).await;
        assert_eq!(empty.headers.get(headers::TOMBSTONE), None);
        assert_eq!((tombstone.payload.len(), tombstone.key.as_deref()), (0, Some(&b"k"[..])));
        let keyless = read_back(|record| record.payload(b"{}")).await;
        assert_eq!(keyless.key, None);
        let empty = read_back(|record| record.payload(b"{}").key("")).await;
        assert_eq!(empty.key.as_deref(), Some(&b""[..]));
    });
}

/// Debezium writes a header with a null value for a column that is NULL.
#[test]
fn a_null_header_is_absent_and_the_last_of_one_name_counts() {
    block_on(async {
        let message = read_back(|record| {
            let value = |key, value| Header { key, value };
            record.payload(b"{}").headers(
                OwnedHeaders::new()
                    .insert(value("id", Some("first")))
                    .insert(value("traceparent", None))
                    .insert(value("id", Some("last"))),
            )
        })
        .await;
        assert_eq!(message.headers.text(headers::ID), Some("last"));
        assert_eq!(message.headers.get(headers::TRACEPARENT), None);
    });
}

#[test]
fn a_record_with_thousands_of_headers_is_kept_whole() {
    block_on(async {
        let message = read_back(|record| {
            let headers = (0..5_000).fold(OwnedHeaders::new(), |headers, number| {
                headers.insert(Header { key: &format!("h{number}"), value: Some(&number.to_string()) })
            });
            record.payload(b"{}").headers(headers)
        })
        .await;
        let more: Vec<(String, String)> =
            serde_json::from_slice(message.headers.get(MORE_HEADERS).expect("the rest")).unwrap();
        assert_eq!(message.headers.len() - 1 + more.len(), 5_000);
        assert_eq!(more.last(), Some(&("h4999".to_owned(), "4999".to_owned())));
    });
}
