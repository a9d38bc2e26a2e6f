//! The three services at work: each with a database of its own, two connectors between the databases and the broker.

use messagekit_testkit::eventually;
use messagekit_tests::Database;

use crate::billing::{BILLS, Billing, ORDERS, PATIENCE, number, start_consumer, until_read};
use crate::book::Book;
use crate::broker;
use crate::cdc::Connector;
use crate::orders::LIMIT_PENCE;
use crate::process::Process;

/// Everything that runs. The fields are dropped in their order: processes first, then what they stood on.
pub(crate) struct Shop {
    pub(crate) orders: Process,
    pub(crate) billing: Billing,
    pub(crate) shipping: Process,
    _connectors: [Connector; 2],
    /// Where the order service listens.
    pub(crate) address: String,
    pub(crate) orders_database: Database,
    pub(crate) shipping_database: Database,
}

impl Shop {
    /// Starts all of it on empty topics and empty databases, and waits until orders are taken and billing has work.
    pub(crate) async fn open() -> Self {
        broker::wipe(&[ORDERS, BILLS], &["billing", "shipping"]).await;
        let (orders_database, billing_database, shipping_database) =
            (Database::fresh().await, Database::fresh().await, Database::fresh().await);
        let connectors = [Connector::apply(&orders_database), Connector::apply(&billing_database)];
        let limit = LIMIT_PENCE.to_string();
        let settings = [
            ("MESSAGEKIT_DATABASE_URL", orders_database.url()),
            ("ORDERS_LISTEN", "127.0.0.1:0"),
            ("ORDERS_LIMIT_PENCE", &limit),
        ];
        let orders = Process::start("messagekit-orders", &settings);
        let shipping = start_consumer("messagekit-shipping", &shipping_database, "shipping-0");
        let billing = Billing::open_on(billing_database).await;
        let address = orders.address();
        Self {
            orders,
            billing,
            shipping,
            _connectors: connectors,
            address,
            orders_database,
            shipping_database,
        }
    }

    /// Waits until everything that was placed is billed and shipped, and every record of the topics has been dealt with,
    /// late copies included.
    pub(crate) async fn until_settled(&mut self, book: &Book) {
        let expected = book.to_be_billed();
        self.billing.until_bills(expected).await;
        eventually("every bill is shipped", PATIENCE, async || {
            number(&self.shipping_database, "SELECT count(*) FROM shipments").await >= Some(expected)
        })
        .await;
        self.billing.until_read().await;
        until_read(&self.shipping_database, "shipping", BILLS.0).await;
        self.billing.are_alive();
        self.orders.is_alive_still();
        self.shipping.is_alive_still();
    }
}
