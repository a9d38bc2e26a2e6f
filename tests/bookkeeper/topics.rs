//! Dead-letter topics on Kafka, of messagekit's programs and of sink connectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use messagekit::adapter::Publisher;
use messagekit::operations::{Action, ActionResult, FailedMessageState, Origin};
use messagekit::{Consumer, HandlerError, Message, NoStore, Shutdown, headers};
use messagekit_kafka::Kafka;
use messagekit_testkit::{block_on, eventually};
use messagekit_tests::{make_topic, services};

use crate::records;
use crate::stage::{PATIENCE, Stage};

static REPAIRED: AtomicBool = AtomicBool::new(false);
static PRINTED: AtomicU32 = AtomicU32::new(0);

async fn print(_: &mut (), _: Message) -> Result<(), HandlerError> {
    if REPAIRED.load(Ordering::Relaxed) {
        PRINTED.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    Err(HandlerError::permanent("out of paper"))
}

#[test]
fn dead_letter_of_a_storeless_consumer_is_redelivered_to_it() {
    block_on(async {
        let stage = Stage::new().await;
        let topic: Arc<str> = stage.of("orders").into();
        make_topic(&topic, 1, &[]).await;
        let bookkeeper = stage.keep_topic().await;
        let kafka = Kafka::new(services::kafka());
        let shutdown = Shutdown::new();
        let store = NoStore::new(kafka.publisher().unwrap(), stage.dead());
        let printing = Consumer::builder(stage.of("printing"), store)
            .from(kafka.topics([topic.clone()]))
            .on_message("orders.order.placed", print)
            .build()
            .unwrap();
        let running = tokio::spawn(printing.run(shutdown.clone()));
        let order = Message::new(topic.clone(), &b"\xff any bytes"[..])
            .with_key("o-1")
            .with_header(headers::ID, "m-1")
            .with_header(headers::EVENT_TYPE, "orders.order.placed");
        for published in kafka.publisher().unwrap().publish(&[order]).await {
            published.unwrap();
        }

        let failed_message = stage.until_failed_messages(1).await.remove(0);
        assert_eq!(
            (failed_message.origin, &*failed_message.kind, &*failed_message.error),
            (Origin::Topic, "permanent", "out of paper")
        );
        assert_eq!(failed_message.consumer, format!("topic:{}/{}", stage.dead(), stage.of("printing")));
        assert_eq!(
            (failed_message.message_id.as_str(), failed_message.return_to.as_deref()),
            ("m-1", Some(&*topic))
        );
        assert_eq!(&failed_message.received.message.payload[..], b"\xff any bytes");

        REPAIRED.store(true, Ordering::Relaxed);
        stage.send_back(failed_message.id).await;
        eventually("it is printed", PATIENCE, async || PRINTED.load(Ordering::Relaxed) > 0).await;
        assert_eq!(stage.failed_messages().await.len(), 1);
        shutdown.request();
        running.await.unwrap().unwrap();
        bookkeeper.stop().await;
    });
}

#[test]
fn a_sink_connector_failure_is_recorded_without_redelivery() {
    block_on(async {
        let stage = Stage::new().await;
        let bookkeeper = stage.keep_topic().await;
        let connect = |partition: &[u8], text: &[u8]| {
            vec![
                ("__connect.errors.topic", b"orders.order".to_vec()),
                ("__connect.errors.partition", partition.to_vec()),
                ("__connect.errors.offset", b"40".to_vec()),
                ("__connect.errors.connector.name", b"warehouse".to_vec()),
                ("__connect.errors.task.id", b"0".to_vec()),
                ("__connect.errors.stage", b"VALUE_CONVERTER".to_vec()),
                (
                    "__connect.errors.exception.class.name",
                    b"org.apache.kafka.connect.errors.DataException".to_vec(),
                ),
                ("__connect.errors.exception.message", text.to_vec()),
                ("__connect.errors.exception.stacktrace", vec![b'x'; 20_000]),
            ]
        };
        records::write(&stage.dead(), connect(b"2", b"not json"), b"not json").await;
        records::write(&stage.dead(), connect(b"\xff", b"\xfe\xff"), b"\xff\x00").await;
        let failed_messages = stage.until_failed_messages(2).await;
        for failed_message in &failed_messages {
            assert_eq!(
                (failed_message.origin, &*failed_message.kind, &failed_message.return_to),
                (Origin::Topic, "connector", &None)
            );
            assert_eq!(failed_message.consumer, format!("topic:{}/warehouse", stage.dead()));
            assert!(failed_message.error.starts_with("connector warehouse task 0 failed at VALUE_CONVERTER"));
            assert!(
                failed_message.error.contains("there is no way back into a connector"),
                "{}",
                failed_message.error
            );
            assert_eq!(
                stage.act(Action::Retry, failed_message.id).await,
                ActionResult::WrongState(FailedMessageState::Dead)
            );
        }
        assert_eq!(failed_messages[0].message_id.as_str(), "at:orders.order/2/40");
        assert_eq!(&failed_messages[1].received.message.payload[..], b"\xff\x00");
        bookkeeper.stop().await;
    });
}
