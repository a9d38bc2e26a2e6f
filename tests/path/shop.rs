//! The three running services: each with its own database, a publisher between each outbox and Kafka, and the
//! bridge between Kafka and RabbitMQ.

use std::any::Any;

use messagekit_shipping::{FAILED_MESSAGES, QUEUE};
use messagekit_testkit::eventually;
use messagekit_tests::{Database, Program, services};

use crate::billing::{Billing, PATIENCE, number};
use crate::book::Book;
use crate::bridge::Bridge;
use crate::cdc::Connector;
use crate::names::Names;
use crate::orders::LIMIT_PENCE;
use crate::process::launch;
use crate::queues;

/// What publishes the events of an outbox until it is dropped: a connector or a relay.
pub(crate) type Publisher = Box<dyn Any>;

/// Everything that runs. The fields are dropped in their order: processes first, then their resources.
pub(crate) struct Shop {
    pub(crate) orders: Program,
    pub(crate) billing: Billing,
    pub(crate) bridge: Bridge,
    pub(crate) shipping: Program,
    _publishers: [Publisher; 2],
    /// The address of the order service.
    pub(crate) address: String,
    pub(crate) orders_database: Database,
    pub(crate) shipping_database: Database,
}

impl Shop {
    /// Starts everything on empty topics and empty databases, and waits until orders are accepted and billing has partitions.
    pub(crate) async fn open() -> Self {
        Self::open_with(|database| Box::new(Connector::apply(database))).await
    }

    /// Does the same with another publisher of the outboxes of orders and billing.
    pub(crate) async fn open_with(publisher: fn(&Database) -> Publisher) -> Self {
        let names = Names::make().await;
        queues::wipe().await;
        let (orders_database, billing_database, shipping_database) =
            (Database::fresh().await, Database::fresh().await, Database::fresh().await);
        let publishers = [publisher(&orders_database), publisher(&billing_database)];
        let limit = LIMIT_PENCE.to_string();
        let settings = [
            ("MESSAGEKIT_DATABASE__0__URL", orders_database.url()),
            ("MESSAGEKIT_ORDERS__LISTEN", "127.0.0.1:0"),
            ("MESSAGEKIT_ORDERS__LIMIT_PENCE", &limit),
            ("MESSAGEKIT_ORDERS__NAME_PREFIX", &names.prefix),
        ];
        let orders = launch("messagekit-orders", &[]).variables(settings).start();
        let shipping = start_shipping(&shipping_database);
        // A queue that is declared late misses earlier messages.
        eventually("shipping has its queue", PATIENCE, async || queues::waiting(QUEUE).await.is_some()).await;
        let bridge = Bridge::start(&names);
        let billing = Billing::open_on(billing_database, names).await;
        let address = orders.address();
        Self {
            orders,
            billing,
            bridge,
            shipping,
            _publishers: publishers,
            address,
            orders_database,
            shipping_database,
        }
    }

    /// Waits until every placed order is billed and shipped, and every record of the topics is settled,
    /// late copies included.
    pub(crate) async fn until_settled(&mut self, book: &Book) {
        let expected = book.to_be_billed();
        self.billing.until_bills(expected).await;
        eventually("every bill is shipped", PATIENCE, async || {
            number(&self.shipping_database, "SELECT count(*) FROM shipments").await >= Some(expected)
        })
        .await;
        self.billing.until_read().await;
        self.bridge.until_forwarded().await;
        self.until_queue_is_worked_off().await;
        self.billing.are_alive();
        self.orders.is_alive_still();
        self.bridge.is_alive_still();
    }

    /// Waits until shipping's queue is empty. The broker does not count messages in flight: a process that is
    /// stopped requeues unfinished ones.
    async fn until_queue_is_worked_off(&mut self) {
        loop {
            eventually("the queue is empty", PATIENCE, async || queues::waiting(QUEUE).await == Some(0))
                .await;
            self.shipping.is_alive_still();
            self.shipping.stop().await;
            if queues::waiting(QUEUE).await == Some(0) {
                break;
            }
            self.shipping = start_shipping(&self.shipping_database);
        }
        assert_eq!(queues::waiting(FAILED_MESSAGES).await, Some(0), "the broker has given something up");
    }
}

/// Starts shipping.
pub(crate) fn start_shipping(database: &Database) -> Program {
    let rabbitmq = services::amqp_url();
    let settings = [
        ("MESSAGEKIT_DATABASE__0__URL", database.url()),
        ("MESSAGEKIT_RABBITMQ__URL", rabbitmq.as_str()),
        ("MESSAGEKIT_SHIPPING__LISTEN", "127.0.0.1:0"),
    ];
    launch("messagekit-shipping", &[]).variables(settings).start()
}
