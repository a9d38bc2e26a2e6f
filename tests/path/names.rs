//! The names of one test at the broker: its topics and its groups, which no other test has used.

use messagekit_testkit::unique;

use crate::broker;

/// The number of partitions of the orders' topic.
pub(crate) const ORDER_PARTITIONS: i32 = 8;
/// The number of partitions of the bills' topic.
pub(crate) const BILL_PARTITIONS: i32 = 4;

/// The names of the services of one test at the broker. No other test has a group with these names, whose offsets or dead members
/// would interfere.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The `name_prefix` of the services.
    pub(crate) prefix: String,
    pub(crate) orders: String,
    pub(crate) bills: String,
    /// The consumer of billing, which is also its group.
    pub(crate) billing: String,
    /// The bridge, which is also its group.
    pub(crate) bridge: String,
}

impl Names {
    /// Creates unique names for a test, and its topics.
    pub(crate) async fn make() -> Self {
        let prefix = format!("{}.", unique("path"));
        let name = |name: &str| format!("{prefix}{name}");
        let (orders, bills) = (name("orders.order"), name("billing.bill"));
        let (billing, bridge) = (name("billing"), name("bridge"));
        // The topics for messages that RabbitMQ refuses, and for their retries.
        let of_bridge = ["dead", "retry"].map(|end| format!("{bridge}.{end}"));
        let [dead, retry] = &of_bridge;
        broker::make(&[(&orders, ORDER_PARTITIONS), (&bills, BILL_PARTITIONS), (dead, 1), (retry, 1)]).await;
        Self { prefix, orders, bills, billing, bridge }
    }
}
