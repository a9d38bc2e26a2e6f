//! What a service says of itself in the document of its contracts.

use messagekit::{ErrorKind, Event};
use messagekit_schema::{Contract, Contracts, Service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id", version = "2.1")]
struct OrderPlaced {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "payments.payment.taken", key = "order_id")]
struct PaymentTaken {
    order_id: String,
}

fn contract<E: Event>() -> Contract {
    Contract {
        event_type: E::TYPE.to_owned(),
        topic: E::TOPIC.to_owned(),
        version: E::VERSION.to_owned(),
        earlier: Vec::new(),
        schema: json!({"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}),
    }
}

fn both() -> Contracts {
    Contracts::new([contract::<OrderPlaced>(), contract::<PaymentTaken>()]).expect("plain contracts")
}

fn orders() -> Service {
    Service::new("orders").owner("team-shop").writes::<OrderPlaced>().reads::<PaymentTaken>()
}

#[test]
fn a_document_says_who_writes_and_reads_and_comes_back() {
    let contracts = both().of_service(orders()).expect("both have contracts");
    let text = contracts.to_text();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        document["service"],
        json!({
            "name": "orders",
            "owner": "team-shop",
            "writes": [{"eventType": "orders.order.placed", "version": "2.1"}],
            "reads": [{"eventType": "payments.payment.taken", "version": "1.0"}],
        })
    );
    let read = Contracts::read(&text).expect("its own text");
    assert_eq!((&read, read.to_text()), (&contracts, text));
    let service = read.service().expect("it was written");
    assert_eq!((service.name(), service.owned_by()), ("orders", Some("team-shop")));
    let twice = both().of_service(orders().reads::<PaymentTaken>()).expect("once is enough");
    assert_eq!(twice, contracts, "an event that is named twice is read once");
}

#[test]
fn documents_of_before_and_of_later_are_read() {
    let before = both().to_text();
    assert!(!before.contains("service"), "no service is named: {before}");
    assert_eq!(Contracts::read(&before).expect("a document of before").service(), None);
    let mut later: Value =
        serde_json::from_str(&both().of_service(orders()).expect("known").to_text()).expect("JSON");
    later["madeBy"] = json!("a later program");
    later["service"]["region"] = json!({"name": "north"});
    later["service"]["reads"][0]["since"] = json!("2027-01-01");
    let read = Contracts::read(&later.to_string()).expect("fields of later are passed over");
    assert_eq!(read, both().of_service(orders()).expect("known"));
    let little = json!({"format": 1, "service": {"name": "idle"}, "events": []}).to_string();
    let idle = Contracts::read(&little).expect("a service needs a name only");
    assert!(idle.service().is_some_and(|idle| idle.written().is_empty() && idle.read().is_empty()));
}

#[test]
fn a_baseline_stays_that_of_its_service() {
    let one = Contracts::new([contract::<OrderPlaced>()]).expect("plain");
    let mut baseline = one.of_service(Service::new("orders").writes::<OrderPlaced>()).expect("known");
    assert_eq!(baseline.merge(&both()).expect("it fits"), 1);
    assert_eq!(baseline.service().map(Service::name), Some("orders"));
    let mut plain = Contracts::new([]).expect("an empty baseline");
    plain.merge(&both().of_service(orders()).expect("known")).expect("it fits");
    assert_eq!(plain.to_text(), both().to_text(), "a baseline holds contracts, as before");
}

#[test]
fn an_event_without_a_contract_is_refused_with_the_cure() {
    let placed = || Contracts::new([contract::<OrderPlaced>()]).expect("plain");
    let mut old = contract::<OrderPlaced>();
    old.version = "1.0".to_owned();
    let without = Contracts::new([contract::<PaymentTaken>(), old]).expect("plain");
    for (contracts, service, texts) in [
        (placed(), orders(), ["reads an event", "payments.payment.taken", "`with_schema`"]),
        (without, orders(), ["writes an event", "orders.order.placed", "2.1"]),
        (placed(), Service::new("our orders"), ["service name", "our orders", "a-z A-Z 0-9 . _ -"]),
        (placed(), Service::new(""), ["service name", "1 to 100", "a-z"]),
        (placed(), Service::new("orders").owner(" "), ["owner of the service is empty", "orders", "leave"]),
    ] {
        let error = contracts.of_service(service).expect_err(texts[0]);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        let text = messagekit::chain(&error);
        assert!(texts.iter().all(|part| text.contains(part)), "{text}");
    }
    let text = json!({"format": 1, "events": [], "service": {"name": "orders", "reads": [
        {"eventType": "payments.payment.taken", "version": "1.0"}]}});
    let error = Contracts::read(&text.to_string()).expect_err("a document is checked, too");
    assert!(error.to_string().contains("reads an event"), "{error}");
}
