//! A broker that its cluster has forgotten: its metadata contain topics and no broker, as in the first moment after a long
//! pause of the machine. A Kafka client may then drop every address that it has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::adapter::{Publisher, codec};
use messagekit::log::{OrderedReader, Start};
use messagekit::{Envelope, Event, Message};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services::{self, Service};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::{Deserialize, Serialize};

use crate::billing::Billing;
use crate::down::Down;
use crate::outage::orders;
use crate::records::send;
use crate::{broker, turn};

/// The time that clients query a broker whose metadata contain no broker.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Silence, two failed requests, and the session of a lost member: twice that time, and more.
const SOON: Duration = DEADLINE.saturating_mul(2);

/// Unregisters the broker from its cluster: request 64, version 0, which the client of these tests does not know. The
/// broker keeps serving, and is known again after a restart.
fn forget(broker: i32) {
    let mut request = vec![0, 64, 0, 0, 0, 0, 0, 1, 0, 4];
    request.extend(b"test\0");
    request.extend(broker.to_be_bytes());
    request.push(0);
    let mut stream = TcpStream::connect(services::kafka()).unwrap();
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    // The error code follows the correlation id, the tags and the throttle time.
    assert_eq!(answer[9..11], [0, 0], "the broker refuses: {answer:?}");
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.written", key = "bill")]
struct BillWritten {
    bill: String,
}

/// Publishes until the broker has confirmed it.
async fn publish(publisher: &KafkaPublisher, topic: &str, bill: &str) {
    let event = codec::encode(&Envelope::new(BillWritten { bill: bill.to_owned() }), "test").unwrap();
    let message = [Message { topic: topic.into(), ..event }];
    eventually("it is published", SOON, async || publisher.publish(&message).await[0].is_ok()).await;
}

/// Reads until a bill comes.
async fn read(reader: &mut OrderedReader, bill: &str) {
    eventually("the bill is read", SOON, async || match reader.poll(Duration::from_secs(1)).await {
        Ok(records) => records.iter().any(|record| holds(&record.message, bill)),
        Err(error) if error.is_transient() => false,
        Err(error) => panic!("{error}"),
    })
    .await;
}

fn holds(message: &Message, bill: &str) -> bool {
    String::from_utf8_lossy(&message.payload).contains(&format!("\"{bill}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_heard_of_no_broker_goes_on_when_there_is_one_again() {
    let _turn = turn::alone();
    let mut billing = Billing::open().await;
    let publisher = Kafka::new(services::kafka()).publisher().unwrap();
    let bills = billing.names.bills.clone();
    publish(&publisher, &bills, "b-1").await;
    let log = Arc::new(Kafka::new(services::kafka()).log());
    let reader = OrderedReader::builder().source(log, bills.clone(), Start::Earliest).open().await;
    let mut reader = reader.unwrap();
    read(&mut reader, "b-1").await;
    send(&billing.names, orders(0..500)).await;
    billing.until_bills(500).await;

    let witness: BaseConsumer = broker::client().create().unwrap();
    forget(1);
    let heard_of = || witness.fetch_metadata(None, DEADLINE).map(|known| known.brokers().len());
    eventually("nobody knows the broker", DEADLINE, async || matches!(heard_of(), Ok(0))).await;
    let mut waiting = std::pin::pin!(publish(&publisher, &bills, "b-2"));
    // The answers to clients during this time are the subject of the test.
    let published = tokio::time::timeout(FORGOTTEN, &mut waiting).await.is_ok();
    Down::kill(Service::Kafka).start();

    let back = Instant::now();
    if !published {
        waiting.await;
    }
    println!("published {:?} after it was back", back.elapsed());
    read(&mut reader, "b-2").await;
    println!("read {:?} after it was back", back.elapsed());
    send(&billing.names, orders(500..1_000)).await;
    eventually("billing goes on", SOON, async || billing.bills().await >= Some(1_000)).await;
    println!("billed {:?} after it was back", back.elapsed());
    billing.until_read().await;
    billing.are_alive();
    assert_eq!(billing.bills().await, Some(1_000), "billed twice");
}
