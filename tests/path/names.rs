//! The names of one test at the broker: its topics and its groups, which no other test has used.

use messagekit_testkit::unique;

use crate::broker;

/// How many partitions the topic of the orders has here.
pub(crate) const ORDER_PARTITIONS: i32 = 8;
/// How many partitions the topic of the bills has here.
pub(crate) const BILL_PARTITIONS: i32 = 4;

/// What the services of one test are named at the broker. A group that another test has left, with its offsets and its dead
/// members, is none of these.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// What the services are given as `MESSAGEKIT_NAME_PREFIX`.
    pub(crate) prefix: String,
    pub(crate) orders: String,
    pub(crate) bills: String,
    /// The consumer of billing, and so its group.
    pub(crate) billing: String,
    /// The bridge, and so its group.
    pub(crate) bridge: String,
}

impl Names {
    /// Takes names of its own for a test, and makes its topics.
    pub(crate) async fn make() -> Self {
        let prefix = format!("{}.", unique("path"));
        let name = |name: &str| format!("{prefix}{name}");
        let (orders, bills) = (name("orders.order"), name("billing.bill"));
        let (billing, bridge) = (name("billing"), name("bridge"));
        // Where the bridge puts what RabbitMQ refuses, and where repaired copies come from.
        let of_bridge = ["dead", "retry"].map(|end| format!("{bridge}.{end}"));
        let [dead, retry] = &of_bridge;
        broker::make(&[(&orders, ORDER_PARTITIONS), (&bills, BILL_PARTITIONS), (dead, 1), (retry, 1)]).await;
        Self { prefix, orders, bills, billing, bridge }
    }
}
