//! Runs every command of the pages for operators on real services, unchanged.
//!
//! A page is read from its beginning. Each block of TOML becomes the file that the next command names, and a shell runs each line
//! of a block `sh`. The expected outcomes are listed here: a line that is added or changed without one fails.

mod page;

use std::fs;

use messagekit::adapter::{
    Bookkeeping, BrokerDeadLetter, FailedMessageRows, Failure, FailureKind, ReceivedMessage,
};
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessages, Origin};
use messagekit::{Message, MessageId, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_testkit::{DEADLINE, eventually, unique};
use messagekit_tests::{Database, Port, services};

use crate::turn;
use crate::{broker, queues};
use page::Outcome::{self, Prints, Stays};
use page::Page;

const BRIDGE: &[(&str, Outcome)] = &[
    ("messagekit-bridge --config bridge.toml --check", Prints("can be used")),
    ("messagekit-bridge --config bridge.toml", Stays),
    ("curl --fail http://127.0.0.1:8090/health/live", Prints("live")),
    ("curl --fail http://127.0.0.1:8090/health/ready", Prints("\"ready\"")),
    ("curl --fail http://127.0.0.1:8090/metrics", Prints("messagekit_bridge_")),
];

#[tokio::test]
async fn the_commands_of_the_bridges_page_do_what_it_says() {
    let _turn = turn::with_fixed_names();
    let (name, topic) = (unique("docs"), unique("docs.order"));
    let own = [format!("{name}.dead"), format!("{name}.retry")];
    broker::make(&[(&topic, 1), (&own[0], 1), (&own[1], 1)]).await;
    let rabbitmq = RabbitMq::new(&services::amqp_url()).unwrap();
    rabbitmq.topology().exchange(messagekit_shipping::EXCHANGE).declare().await.unwrap();

    let mut page = Page::open("docs/bridge.md");
    let port = Port::free();
    let address = port.address();
    page.set("MESSAGEKIT_BRIDGE__LISTEN", &address);
    page.replace("127.0.0.1:8090", &address);
    page.replace("127.0.0.1:9092", &services::kafka());
    page.replace("amqp://messagekit:messagekit@127.0.0.1:5672/%2f", &services::amqp_url());
    page.replace("\"orders-to-shipping\"", &format!("{name:?}"));
    page.replace("\"orders.order\"", &format!("{topic:?}"));
    page.run(BRIDGE).await;
}

const FAILED_MESSAGES: &[(&str, Outcome)] = &[
    ("messagekit dlq list", Prints("orders.order.placed")),
    ("messagekit dlq list --origin queue --state dead", Prints("queue:billing")),
    ("messagekit dlq list --state open", Prints("2 dead")),
    ("messagekit dlq groups", Prints("no stock")),
    ("messagekit dlq show \"$FAILED_MESSAGE\"", Prints("no stock")),
    ("messagekit dlq retry \"$FAILED_MESSAGE\"", Prints("accepted")),
    ("messagekit dlq discard \"$FAILED_MESSAGE\"", Prints("discarded")),
    ("messagekit dlq undo \"$FAILED_MESSAGE\"", Prints("discard undone")),
    ("messagekit dlq retry --kind rejected --yes", Prints("1 of 1 failed message accepted")),
    ("messagekit dlq discard --type orders.order.placed --yes", Prints("1 of 1 failed message discarded")),
    ("messagekit bookkeeper --config bookkeeper.toml", Stays),
];

#[tokio::test]
async fn the_commands_of_the_page_on_failed_messages_do_what_it_says() {
    let _turn = turn::with_fixed_names();
    let database = Database::fresh().await;
    let store = database.store().await;
    let (queue, kept) = (unique("docs.bills"), unique("docs.bills.dead"));
    let topics = [unique("docs.bridge.dead"), unique("docs.connect.dead")];
    broker::make(&[(&topics[0], 1), (&topics[1], 1)]).await;
    let rabbitmq = RabbitMq::new(&services::amqp_url()).unwrap();
    let exchange = unique("docs.dead");
    let topology = rabbitmq.topology().exchange(&exchange);
    let topology = topology.queue(Queue::quorum(&queue).dead_letter(&exchange, &queue));
    let topology = topology.queue(Queue::dead_letters(&kept)).bind(&kept, &exchange, &queue);
    topology.declare().await.unwrap();
    let (failed, rejected) = failed_messages(&store, &queue).await;

    let mut page = Page::open("docs/failed-messages.md");
    page.set("MESSAGEKIT_DATABASE_URL", database.url());
    page.set("FAILED_MESSAGE", &failed.to_string());
    let folder = page.folder();
    page.replace("/run/secrets", folder.to_str().unwrap());
    fs::write(folder.join("database-url"), database.url()).unwrap();
    fs::write(folder.join("rabbitmq-url"), services::amqp_url()).unwrap();
    let port = Port::free();
    page.replace("127.0.0.1:8091", &port.address());
    page.replace("kafka:9092", &services::kafka());
    page.replace("name = \"bookkeeper\"", &format!("name = {:?}", unique("docs.bookkeeper")));
    page.replace("\"billing.dead\"", &format!("{kept:?}"));
    page.replace("\"bridge.dead\"", &format!("{:?}", topics[0]));
    page.replace("\"connect.dead\"", &format!("{:?}", topics[1]));
    page.run(FAILED_MESSAGES).await;

    // The page promises for its last two commands: one failed message is redelivered to its queue, the other one is not.
    eventually("the failed message has gone back", DEADLINE, async || {
        store.show(rejected).await.unwrap().state == FailedMessageState::Resolved
    })
    .await;
    assert_eq!(queues::waiting(&queue).await, Some(1));
    assert_eq!(store.show(failed).await.unwrap().state, FailedMessageState::Discarded);
}

/// Writes a failed message of a consumer and a dead letter of RabbitMQ, and returns their numbers.
async fn failed_messages(store: &PostgresStore, queue: &str) -> (i64, i64) {
    let received = |topic: &str, kind: &'static str| {
        let id = MessageId::new();
        let message = Message::new(topic, "{}").with_header(headers::ID, id.as_str().to_owned());
        ReceivedMessage { id, message: message.with_header(headers::EVENT_TYPE, kind), position: None }
    };
    let mut tx = store.begin().await.unwrap();
    let order = received("orders.order", "orders.order.placed");
    let failure = Failure::permanent(FailureKind::Permanent, "no stock");
    store.set_aside(&mut tx, "billing", &order, &failure).await.unwrap();
    let found = BrokerDeadLetter {
        origin: Origin::Queue,
        scope: "queue:billing".to_owned(),
        return_to: Some(queue.to_owned()),
        received: received(queue, "billing.bill.issued"),
        failure: Failure::permanent(FailureKind::Rejected, "rejected by its consumer"),
    };
    store.keep(&mut tx, &found).await.unwrap();
    store.commit(tx).await.unwrap();
    let mut ids = store.ids(&FailedMessageFilter::default(), 10).await.unwrap();
    ids.sort_unstable();
    (ids[0], ids[1])
}

const PUBLISHING_MODES: &[(&str, Outcome)] = &[
    ("messagekit migrate --relay", Prints("relays may begin")),
    ("messagekit relay --kafka 127.0.0.1:9092", Stays),
    ("curl --fail http://127.0.0.1:8092/health/live", Prints("live")),
    ("curl --fail http://127.0.0.1:8092/health/ready", Prints("\"ready\"")),
    ("curl --fail http://127.0.0.1:8092/metrics", Prints("messagekit_relay_")),
    ("messagekit relay --config relay.toml --check", Prints("settings of relay shop can be used")),
    ("messagekit outbox rejected list", Prints("no rejected events")),
    ("messagekit outbox rejected retry --all --yes", Prints("nothing was done")),
];

#[tokio::test]
async fn commands_of_the_publishing_modes_page_work() {
    let _turn = turn::with_fixed_names();
    let database = Database::fresh().await;
    let mut page = Page::open("docs/publishing-modes.md");
    page.set("MESSAGEKIT_DATABASE_URL", database.url());
    let port = Port::free();
    let address = port.address();
    page.set("MESSAGEKIT_RELAY__LISTEN", &address);
    page.replace("127.0.0.1:8092", &address);
    page.replace("127.0.0.1:9092", &services::kafka());
    page.run(PUBLISHING_MODES).await;
}

/// The tests of `messagekit-admin` send the requests of the page on operating. Its commands must be run here.
const OPERATING: &[(&str, Outcome)] = &[
    ("messagekit doctor", Prints("passed ")),
    ("messagekit cleanup --keep-events 7d --keep-failed-messages 30d", Prints("removed")),
    ("messagekit cleanup --dry-run", Prints("would be removed")),
    ("messagekit migrate --by-day", Prints("divided by day")),
];

#[tokio::test]
async fn the_commands_of_the_page_on_operating_do_what_it_says() {
    let _turn = turn::with_fixed_names();
    let database = Database::fresh().await;
    let mut page = Page::open("docs/operating.md");
    page.set("MESSAGEKIT_DATABASE_URL", database.url());
    page.run(OPERATING).await;
}

const UPGRADING: &[(&str, Outcome)] = &[
    ("messagekit migrate --status", Prints("to come")),
    ("messagekit migrate --dry-run", Prints("CREATE TABLE messagekit.outbox_events")),
    ("messagekit migrate", Prints("version 0 →")),
];

/// Begins with a database without tables.
#[tokio::test]
async fn the_commands_of_the_page_on_upgrading_do_what_it_says() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    let mut page = Page::open("docs/upgrading.md");
    page.set("MESSAGEKIT_DATABASE_URL", database.url());
    page.run(UPGRADING).await;
}
