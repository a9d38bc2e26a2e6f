//! Publishing events with the schemas of a registry.

use messagekit::adapter::{PublishErrorKind, Publisher, codec};
use messagekit::{Envelope, ErrorKind, Event, Message, WireForm, headers};
use messagekit_memory::MemoryLog;
use messagekit_schema_registry::{
    AvroSchema, EventSchema, MemoryRegistry, SchemaFormat, SchemaPublisher, SchemaReference, SchemaRegistry,
    Schemas, SubjectName,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::events::{ORDER_PLACED, OrderPlaced, document, order};
use crate::slow_registry::SlowRegistry;

const FORMS: [WireForm; 3] =
    [WireForm::Messagekit, WireForm::CloudEventsStructured, WireForm::CloudEventsBinary];

async fn publisher(schemas: &Schemas, log: &MemoryLog) -> SchemaPublisher<MemoryLog> {
    schemas.publisher(log.clone(), [EventSchema::avro::<OrderPlaced>(ORDER_PLACED).unwrap()]).await.unwrap()
}

fn encoded(envelope: &Envelope<OrderPlaced>, form: WireForm) -> Message {
    codec::encode_as(envelope, "shop", form).unwrap()
}

fn published(log: &MemoryLog) -> Vec<Message> {
    let mut records = log.records("orders");
    records.sort_by_key(|record| record.position.offset);
    records.into_iter().map(|record| record.message).collect()
}

#[tokio::test]
async fn an_event_of_any_form_is_avro_with_attributes_as_headers() {
    let (schemas, log) = (Schemas::new(MemoryRegistry::new()), MemoryLog::new(1));
    let publisher = publisher(&schemas, &log).await;
    let mut envelope = Envelope::new(order("o-1"));
    envelope.occurred_at = "2026-01-31T23:59:59.5Z".parse().unwrap();
    envelope.metadata.insert("channel".to_owned(), json!("phone"));
    envelope.headers.insert("tenant".to_owned(), "north".to_owned());
    envelope.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    for form in FORMS {
        assert!(publisher.publish(&[encoded(&envelope, form)]).await[0].is_ok());
    }
    let schema = AvroSchema::parse(ORDER_PLACED, &[]).unwrap();
    let data = schema.write(&json!({"order_id": "o-1", "pence": 995})).unwrap();
    let found = published(&log);
    assert_eq!(found.len(), 3);
    for (message, form) in found.into_iter().zip(FORMS) {
        assert_eq!(message.payload, [&[0, 0, 0, 0, 1], &data[..]].concat(), "{form}");
        let header = |name| message.headers.text(name);
        assert_eq!(header(headers::CONTENT_TYPE), Some("application/avro"), "{form}");
        assert_eq!(header("ce_id"), Some(envelope.event_id.as_str()), "{form}");
        assert_eq!(header("ce_type"), Some("orders.order.placed"), "{form}");
        assert_eq!(header("ce_dataversion"), Some("1.1"), "{form}");
        assert_eq!(header("ce_channel"), Some("phone"), "{form}");
        let read: Envelope<OrderPlaced> = Envelope::decode(&schemas.decode(message).await.unwrap()).unwrap();
        let mut meta = envelope.meta.clone();
        meta.source = "shop".to_owned();
        assert_eq!((&read.data, &read.meta), (&envelope.data, &meta), "{form}");
        assert_eq!(read.headers["tenant"], "north", "{form}");
        assert_eq!(read.trace, envelope.trace, "{form}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_rejected_and_holds_back_its_key_alone() {
    #[derive(Clone, Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", topic = "orders", key = "order_id", version = "1.1")]
    struct Wrong {
        order_id: String,
        pence: String,
    }
    let (schemas, log) = (Schemas::new(MemoryRegistry::new()), MemoryLog::new(1));
    let publisher = publisher(&schemas, &log).await;
    let wrong = Envelope::new(Wrong { order_id: "o-1".to_owned(), pence: "secret".to_owned() });
    let wrong = codec::encode(&wrong, "shop").unwrap();
    let right = |name: &str| encoded(&Envelope::new(order(name)), WireForm::Messagekit);
    let batch = [right("o-1"), wrong, right("o-2"), right("o-1")];
    let results = publisher.publish(&batch).await;
    let refusals: Vec<_> = results.iter().map(|one| one.as_ref().err().map(|error| error.refusal)).collect();
    assert_eq!(refusals, [None, Some(PublishErrorKind::Rejected), None, Some(PublishErrorKind::KeyBlocked)]);
    let error = messagekit::chain(results[1].as_ref().unwrap_err());
    assert!(error.contains("field `pence`: value is no long"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    assert_eq!(published(&log).len(), 2);
}

#[tokio::test]
async fn events_without_a_schema_are_published_as_they_are() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.cancelled", topic = "orders", key = "order_id")]
    struct OrderCancelled {
        order_id: String,
    }
    let (schemas, log) = (Schemas::new(MemoryRegistry::new()), MemoryLog::new(1));
    let publisher = publisher(&schemas, &log).await;
    let other = codec::encode(&Envelope::new(OrderCancelled { order_id: "o-1".to_owned() }), "shop").unwrap();
    let order = encoded(&Envelope::new(order("o-1")), WireForm::Messagekit);
    let results = publisher.publish(&[other.clone(), order, other.clone()]).await;
    assert!(results.iter().all(Result::is_ok));
    let found = published(&log);
    assert_eq!((&found[0].payload, &found[2].payload), (&other.payload, &other.payload));
    assert_eq!(found[1].payload[0], 0);
}

#[tokio::test]
async fn versions_have_schemas_and_an_earlier_minor_takes_the_newest() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.placed", topic = "orders", key = "order_id", version = "2.0")]
    struct OrderPlaced2 {
        order_id: String,
        amount: String,
    }
    let second = ORDER_PLACED.replace("\"pence\", \"type\": \"long\"", "\"amount\", \"type\": \"string\"");
    let schemas = Schemas::new(MemoryRegistry::new());
    let log = MemoryLog::new(1);
    let both = [
        EventSchema::avro::<OrderPlaced>(ORDER_PLACED).unwrap(),
        EventSchema::avro::<OrderPlaced2>(&second).unwrap().topic("orders-v2"),
    ];
    let publisher = schemas.publisher(log.clone(), both).await.unwrap();
    let mut old = Envelope::new(order("o-1"));
    old.data_version = "1.0".to_owned();
    let mut newer = Envelope::new(order("o-2"));
    newer.data_version = "1.1".to_owned();
    let major = Envelope::new(OrderPlaced2 { order_id: "o-3".to_owned(), amount: "9.95".to_owned() });
    let batch = [
        encoded(&old, WireForm::Messagekit),
        encoded(&newer, WireForm::Messagekit),
        codec::encode(&major, "shop").unwrap(),
    ];
    assert!(publisher.publish(&batch).await.iter().all(Result::is_ok));
    let ids: Vec<u8> = published(&log).iter().map(|message| message.payload[4]).collect();
    assert_eq!(ids, [1, 1, 2]);

    let twice = [
        EventSchema::avro::<OrderPlaced>(ORDER_PLACED).unwrap(),
        EventSchema::json::<OrderPlaced>("{}").unwrap(),
    ];
    let error = schemas.publisher(log, twice).await.expect_err("two schemas");
    assert_eq!((error.kind(), error.context("data_version")), (ErrorKind::InvalidConfiguration, Some("1.1")));
}

#[tokio::test]
async fn json_is_framed_as_it_is_written() {
    let (schemas, log) = (Schemas::new(MemoryRegistry::new()), MemoryLog::new(1));
    let schema = json!({"type": "object", "properties": {"order_id": {"type": "string"}}});
    let publisher = schemas
        .publisher(log.clone(), [EventSchema::json::<OrderPlaced>(&schema.to_string()).unwrap()])
        .await
        .unwrap();
    let envelope = Envelope::new(order("o-1"));
    assert!(publisher.publish(&[encoded(&envelope, WireForm::Messagekit)]).await[0].is_ok());
    let message = published(&log).remove(0);
    assert_eq!(&message.payload[..], b"\0\0\0\0\x01{\"order_id\":\"o-1\",\"pence\":995,\"note\":null}");
    let read: Envelope<OrderPlaced> = Envelope::decode(&schemas.decode(message).await.unwrap()).unwrap();
    assert_eq!(read.data, envelope.data);
}

#[tokio::test]
async fn a_start_refuses_what_the_registry_refuses() {
    let registry = SlowRegistry::default();
    let other = ORDER_PLACED.replace("\"long\"", "\"string\"");
    registry.register("orders-shop.OrderPlaced", &document(SchemaFormat::Avro, &other)).await.unwrap();
    let schemas = Schemas::new(registry.clone());
    let schema = || EventSchema::avro::<OrderPlaced>(ORDER_PLACED).unwrap();
    let refused = async |schema: EventSchema| {
        let error = schemas.publisher(MemoryLog::new(1), [schema]).await.expect_err("is refused");
        (error.kind(), error.context("subject").unwrap_or_default().to_owned())
    };
    let subject = "orders-shop.OrderPlaced".to_owned();
    assert_eq!(refused(schema()).await, (ErrorKind::SchemaMismatch, subject.clone()));
    assert_eq!(refused(schema().existing()).await, (ErrorKind::NotFound, subject));
    let by_topic = schema().subject_name(SubjectName::Topic);
    assert_eq!(by_topic.subject(), "orders-value");
    assert!(schemas.publisher(MemoryLog::new(1), [by_topic]).await.is_ok());
    assert!(registry.find("orders-value", &document(SchemaFormat::Avro, ORDER_PLACED)).await.is_ok());
    let no_record = EventSchema::avro::<OrderPlaced>("\"string\"").expect_err("no record");
    assert_eq!(no_record.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test]
async fn a_schema_may_refer_to_others() {
    let registry = MemoryRegistry::new();
    let money = r#"{"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "pence", "type": "long"}]}"#;
    registry.register("money", &document(SchemaFormat::Avro, money)).await.unwrap();
    let reference =
        SchemaReference { name: "shop.Money".to_owned(), subject: "money".to_owned(), version: 1 };
    let mut text = document(
        SchemaFormat::Avro,
        r#"{"type": "record", "name": "Paid", "namespace": "shop", "fields": [{"name": "order_id", "type": "string"}, {"name": "sum", "type": "Money"}]}"#,
    );
    text.references.push(reference);
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.order.paid", topic = "orders", key = "order_id")]
    struct Paid {
        order_id: String,
        sum: Value,
    }
    let schemas = Schemas::new(registry);
    let log = MemoryLog::new(1);
    let schema = EventSchema::avro_referring::<Paid>(text, &[money.to_owned()]).unwrap();
    let publisher = schemas.publisher(log.clone(), [schema]).await.unwrap();
    let paid = Envelope::new(Paid { order_id: "o-1".to_owned(), sum: json!({"pence": 5}) });
    assert!(publisher.publish(&[codec::encode(&paid, "shop").unwrap()]).await[0].is_ok());
    let message = schemas.decode(published(&log).remove(0)).await.unwrap();
    assert_eq!(&message.payload[..], br#"{"order_id":"o-1","sum":{"pence":5}}"#);
}

#[tokio::test]
async fn what_becomes_too_large_for_the_broker_is_rejected_here() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(type = "orders.measured", topic = "orders")]
    struct Measured {
        values: Vec<f64>,
    }
    let schema = r#"{"type": "record", "name": "Measured", "fields": [{"name": "values", "type": {"type": "array", "items": "double"}}]}"#;
    let (schemas, log) = (Schemas::new(MemoryRegistry::new()), MemoryLog::new(1));
    let schema = EventSchema::avro::<Measured>(schema).unwrap();
    let publisher = schemas.publisher(log.clone(), [schema]).await.unwrap();
    let measured = Envelope::new(Measured { values: vec![0.5; 200_000] });
    let result = publisher.publish(&[codec::encode(&measured, "shop").unwrap()]).await.remove(0);
    let error = result.expect_err("1,600,000 bytes");
    assert_eq!((error.refusal, error.error.kind()), (PublishErrorKind::Rejected, ErrorKind::TooLarge));
    assert_eq!(published(&log).len(), 0);
}
