//! One trace from a request at the order service to the shipment, at a receiver that speaks OTLP.

use std::collections::BTreeSet;

use messagekit_testkit::{block_on, eventually, unique};
use messagekit_tests::{Database, OtlpReceiver, Span};

use crate::billing::{PATIENCE, number};
use crate::cdc::{Connector, messagekit, said};
use crate::orders::Order;
use crate::process::Traced;
use crate::relay::{migrate, relay};
use crate::shop::{Publisher, Shop};
use crate::turn;

/// Stands in every payload, and in no span.
const COUNTRY: &str = "Planted Country";

fn connector(database: &Database) -> Publisher {
    Box::new(Connector::apply(database))
}

fn relayed(database: &Database) -> Publisher {
    migrate(database, &["--relay"]);
    Box::new(relay(database))
}

/// Places an order in a request of a caller with a trace of its own, and returns the id of that trace.
fn place(shop: &Shop, id: &str, pence: i64) -> String {
    let trace_id = format!("{:032x}", fastrand::u128(1..));
    let order =
        Order { id: id.to_owned(), customer: Some("c-1".to_owned()), country: COUNTRY.to_owned(), pence };
    let answer = ureq::post(format!("{}/orders", shop.address))
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .send_json(&order)
        .unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    trace_id
}

async fn spans(
    receiver: &OtlpReceiver,
    trace_id: &str,
    what: &str,
    are: impl Fn(&[Span]) -> bool,
) -> Vec<Span> {
    eventually(what, PATIENCE, async || are(&receiver.trace(trace_id))).await;
    receiver.trace(trace_id)
}

/// Returns the spans of an operation, without those of transactions that were rolled back.
fn all<'a>(spans: &'a [Span], service: &str, operation: &str) -> Vec<&'a Span> {
    let begin = format!("{operation} ");
    let is_committed = |span: &&Span| span.attribute("messagekit.rolled_back").is_empty();
    let of_service = spans.iter().filter(|span| span.service == service && span.name.starts_with(&begin));
    of_service.filter(is_committed).collect()
}

/// Returns the runs of billing that were refused for good, in their order.
fn refused_runs(spans: &[Span]) -> Vec<&Span> {
    let is_run = |span: &&Span| span.service == "billing" && span.name.starts_with("process ");
    let refused = spans.iter().filter(is_run).filter(|span| span.attribute("error.type") == "permanent");
    let mut refused: Vec<&Span> = refused.collect();
    refused.sort_unstable_by_key(|span| span.time);
    refused
}

fn one<'a>(spans: &'a [Span], service: &str, operation: &str) -> &'a Span {
    let found = all(spans, service, operation);
    let [one] = found[..] else { panic!("{} spans {operation} of {service} in {spans:#?}", found.len()) };
    one
}

/// Returns whether the last hops have exported their spans, in any order.
fn is_shipped(spans: &[Span]) -> bool {
    [("orders", "POST"), ("billing", "process"), ("messagekit-bridge", "publish"), ("shipping", "process")]
        .iter()
        .all(|(service, operation)| !all(spans, service, operation).is_empty())
}

/// Asserts that each hop is the child of the writer's span, and returns the services of the trace.
fn services(spans: &[Span]) -> BTreeSet<&str> {
    let (request, placed) = (one(spans, "orders", "POST"), one(spans, "orders", "create"));
    let (billed, bill) = (one(spans, "billing", "process"), one(spans, "billing", "create"));
    let (forwarded, shipped) =
        (one(spans, "messagekit-bridge", "publish"), one(spans, "shipping", "process"));
    assert_eq!(placed.parent, request.span_id);
    assert_eq!(billed.parent, placed.span_id, "the publisher hides no writer");
    assert_eq!(bill.parent, billed.span_id);
    assert_eq!((&forwarded.parent, &shipped.parent), (&bill.span_id, &bill.span_id));
    assert_eq!(billed.attribute("messaging.system"), "kafka");
    assert_eq!(
        (forwarded.attribute("messaging.system"), shipped.attribute("messaging.system")),
        ("rabbitmq", "rabbitmq")
    );
    spans.iter().map(|span| &*span.service).collect()
}

/// Returns the spans of a trace as lines: time since its begin, duration, service, and name below that of the parent.
fn picture(spans: &[Span]) -> String {
    let begin = spans.iter().map(|span| span.time.0).min().unwrap_or_default();
    let roots = spans.iter().filter(|span| spans.iter().all(|other| other.span_id != span.parent));
    roots.map(|root| branch(spans, root, 0, begin)).collect()
}

fn branch(spans: &[Span], span: &Span, depth: usize, begin: u64) -> String {
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let (from, took) = (milliseconds(span.time.0 - begin), milliseconds(span.time.1 - span.time.0));
    let (service, name, indent) = (&span.service, &span.name, 2 * depth);
    let line = format!("{from:>8.1} {took:>7.1}  {service:<18} {:indent$}{name}\n", "");
    let children = spans.iter().filter(|child| child.parent == span.span_id);
    children.fold(line, |lines, child| lines + &branch(spans, child, depth + 1, begin))
}

#[test]
fn one_trace_leads_through_debezium_to_the_shipment() {
    // Every process that is started meanwhile exports to the receiver of this test.
    let _turn = turn::alone();
    block_on(async {
        let receiver = OtlpReceiver::start().await;
        let _traced = Traced::to(receiver.endpoint());
        let shop = Shop::open_with(connector).await;
        let trace = place(&shop, "traced-1", 990);
        let spans = spans(&receiver, &trace, "the order is shipped", is_shipped).await;
        let expected = ["billing", "messagekit-bridge", "orders", "shipping"];
        println!("ms from the begin, ms, service, span\n{}", picture(&spans));
        assert_eq!(services(&spans), BTreeSet::from(expected));
        assert!(!receiver.contains(COUNTRY), "no payload is in a span");
    });
}

#[test]
fn a_retry_and_a_replay_belong_to_the_trace_of_the_request() {
    // Every process that is started meanwhile exports to the receiver of this test.
    let _turn = turn::alone();
    block_on(async {
        let receiver = OtlpReceiver::start().await;
        let _traced = Traced::to(receiver.endpoint());
        let shop = Shop::open_with(relayed).await;
        let (good, refused) = (unique("good"), unique("refused"));
        let (good, refused) = (place(&shop, &good, 990), place(&shop, &refused, -1));

        let shipped = |spans: &[Span]| is_shipped(spans) && !all(spans, "messagekit", "publish").is_empty();
        let first = spans(&receiver, &good, "the order is shipped", shipped).await;
        assert_eq!(services(&first).len(), 5, "the relay as well: {first:#?}");

        // Billing refuses a negative amount. An operator orders another run, which fails again.
        let dead = |spans: &[Span]| !all(spans, "billing", "set aside").is_empty();
        spans(&receiver, &refused, "the order is refused", dead).await;
        let billing = &shop.billing.database;
        let retried = messagekit(&["dlq", "retry", "--database", billing.url(), "1"]);
        assert!(retried.status.success(), "{}", said(&retried));
        let again = |spans: &[Span]| all(spans, "billing", "set aside").len() >= 2;
        let runs = spans(&receiver, &refused, "the run is repeated", again).await;
        let [run, .., retry] = refused_runs(&runs)[..] else { panic!("not two runs: {runs:#?}") };
        assert_eq!((&run.parent, run.is_error, retry.is_error), (&retry.parent, true, true));
        assert_eq!(run.attribute("messagekit.rolled_back"), "permanent");

        // The order of the good request is published again and handled as a new one.
        let orders = shop.orders_database.url();
        let replayed =
            messagekit(&["replay", "start", "--database", orders, "--all", "--ids", "new", "--yes"]);
        assert!(replayed.status.success(), "{}", said(&replayed));
        let replayed = |spans: &[Span]| {
            all(spans, "messagekit", "publish").len() >= 3 && all(spans, "billing", "process").len() == 2
        };
        let second = spans(&receiver, &good, "the replay is handled", replayed).await;
        let parents: BTreeSet<&str> =
            all(&second, "billing", "process").iter().map(|span| &*span.parent).collect();
        assert_eq!(parents.len(), 1, "both runs are children of the writer's span");
        assert_eq!(number(billing, "SELECT count(*) FROM bills").await, Some(2));
        assert!(!receiver.contains(COUNTRY), "no payload is in a span");
    });
}
