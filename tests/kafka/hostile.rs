//! Records that the client library cannot read, among readable ones.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use messagekit::operations::{FailedMessageFilter, FailedMessages};
use messagekit::{Consumer, Envelope, HandlerError, Message, Router, Shutdown, headers};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{OrderPlaced, services};

use crate::broker::{ADMIN, blocking, kafka, topic_of};

async fn on_placed(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tx.add(&order.data.order_id, 1);
    Ok(())
}

fn order(topic: &Arc<str>, id: &str) -> Message {
    let text = format!(r#"{{"eventId":"{id}","eventType":"orders.order.placed","order_id":"{id}"}}"#);
    Message::new(topic.clone(), text).with_key(id.to_owned()).with_header(headers::ID, id.to_owned())
}

#[test]
fn a_header_name_that_is_not_utf8_fails_only_its_record() {
    block_on(async {
        let (topic, consumer) = (topic_of::<OrderPlaced>(1).await, unique("hostile"));
        let (bad, name) = (order(&topic, "bad"), topic.clone());
        let good: Vec<Message> = (0..40).map(|number| order(&topic, &format!("good-{number}"))).collect();
        blocking(move || {
            let record = |message: &Message| Record::of(message);
            produce(&name, &good[..20].iter().map(record).collect::<Vec<_>>());
            produce(&name, &[Record::of(&bad).with_header(b"caf\xe9", b"latin 1").with_header(b"a", b"b")]);
            produce(&name, &good[20..].iter().map(record).collect::<Vec<_>>());
        })
        .await;

        let store = MemoryStore::new();
        let running =
            Consumer::builder(consumer.as_str(), store.clone()).from(kafka().topics([topic.clone()]));
        let running = running.router(Router::new().on(on_placed)).build().unwrap();
        let shutdown = Shutdown::new();
        let running = tokio::spawn(running.run(shutdown.clone()));
        let applied = || (0..40).filter(|number| store.get(&format!("good-{number}")) == 1).count();
        eventually("the neighbours are applied and the bad one is set aside", DEADLINE, async || {
            applied() == 40 && store.list(&FailedMessageFilter::default(), 10).await.unwrap().len() == 1
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!((applied(), store.get("bad")), (40, 0));

        let failed_message = store.list(&FailedMessageFilter::default(), 10).await.unwrap()[0].id;
        let failed_message = store.show(failed_message).await.unwrap();
        assert_eq!(&*failed_message.kind, "unreadable", "{}", failed_message.error);
        assert!(failed_message.error.contains("not UTF-8 (1 of 3)"), "{}", failed_message.error);
        let kept = failed_message.received.message;
        assert_eq!(kept.payload, order(&topic, "bad").payload);
        assert_eq!((kept.key.as_deref(), kept.headers.text("a")), (Some(&b"bad"[..]), Some("b")));
        assert_eq!(failed_message.received.position.unwrap().offset, 20);
    });
}

/// A record as another client would write it.
struct Record {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Record {
    fn of(message: &Message) -> Self {
        let headers = message.headers.iter();
        Self {
            key: message.key.as_deref().unwrap_or_default().to_vec(),
            value: message.payload.to_vec(),
            headers: headers.map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect(),
        }
    }

    fn with_header(mut self, name: &[u8], value: &[u8]) -> Self {
        self.headers.push((name.to_vec(), value.to_vec()));
        self
    }

    fn write(&self, delta: usize, out: &mut Vec<u8>) {
        // Attributes, and the offset from the batch's time.
        let mut record = vec![0, 0];
        varint(delta as i64, &mut record);
        sized(&self.key, &mut record);
        sized(&self.value, &mut record);
        varint(self.headers.len() as i64, &mut record);
        for (name, value) in &self.headers {
            sized(name, &mut record);
            sized(value, &mut record);
        }
        sized(&record, out);
    }
}

/// Writes records to partition 0 in one batch without a client library, and waits for the broker's answer.
fn produce(topic: &str, records: &[Record]) {
    let count = i32::try_from(records.len()).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    // The checksum covers the attributes up to the last record.
    let mut checked = vec![0, 0];
    checked.extend((count - 1).to_be_bytes());
    checked.extend(now.to_be_bytes());
    checked.extend(now.to_be_bytes());
    // No producer id, no epoch, no sequence.
    checked.extend([0xff; 14]);
    checked.extend(count.to_be_bytes());
    records.iter().enumerate().for_each(|(delta, record)| record.write(delta, &mut checked));
    let mut batch = 0_i64.to_be_bytes().to_vec();
    batch.extend(i32::try_from(checked.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);

    // Key 0 is Produce. Version 3 is the first one that brokers still accept, without tagged fields.
    let mut request = [0_i16.to_be_bytes(), 3_i16.to_be_bytes()].concat();
    request.extend(1_i32.to_be_bytes());
    // No client id, no transactional id; every replica confirms.
    request.extend([0xff; 6]);
    request.extend(i32::try_from(ADMIN.as_millis()).unwrap().to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    // One partition, number 0.
    request.extend([1_i32.to_be_bytes(), 0_i32.to_be_bytes()].concat());
    request.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);

    let mut broker = TcpStream::connect(services::kafka()).unwrap();
    broker.set_read_timeout(Some(ADMIN + Duration::from_secs(1))).unwrap();
    broker.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    // Length, correlation id, number of topics, name, number of partitions, partition, error code.
    let mut answer = vec![0_u8; 12 + 2 + topic.len() + 4 + 4 + 2];
    broker.read_exact(&mut answer).unwrap();
    assert!(answer.ends_with(&[0, 0]), "the broker refused the records: {answer:?}");
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as i64, out);
    out.extend(bytes);
}

fn varint(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
