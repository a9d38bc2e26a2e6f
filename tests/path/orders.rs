//! The year of orders as this suite places it, with additional events for each order.

use std::path::Path;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// The order service refuses larger amounts, after it has written row and event. No real order comes near.
pub(crate) const LIMIT_PENCE: i64 = 20_000_000;
/// An order as it is placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    #[serde(rename = "order_id")]
    pub(crate) id: String,
    pub(crate) customer: Option<String>,
    pub(crate) country: String,
    pub(crate) pence: i64,
}

impl Order {
    /// Returns whether billing can book it: it refuses negative amounts.
    pub(crate) fn is_billable(&self) -> bool {
        self.pence >= 0
    }

    /// Returns a new order of the same customer that is over the limit.
    pub(crate) fn over_the_limit(&self) -> Self {
        Self { id: format!("{}-over", self.id), pence: LIMIT_PENCE + 1, ..self.clone() }
    }
}

/// An order and the additional steps of its writer.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) order: Order,
    /// An order that is rolled back comes before it.
    pub(crate) after_a_refused_one: bool,
    /// It is placed a second time, under the same id.
    pub(crate) twice: bool,
}

impl Planned {
    /// Returns the order for a round. Each round but the first uses new ids.
    pub(crate) fn in_round(&self, round: usize) -> Self {
        let mut planned = self.clone();
        if round > 0 {
            planned.order.id = format!("{}-again-{round}", planned.order.id);
        }
        planned
    }
}

#[derive(Deserialize)]
struct Row {
    invoice: String,
    kind: String,
    customer: String,
    country: String,
    total_pence: i64,
}

/// Returns the seed for rollbacks and kills.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(1, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    seed
}

/// Returns the orders of the year and its three adjustments, or `short` of them in the short form. Refunds are left
/// out: no order was placed for them.
pub(crate) fn of_the_year(seed: u64, short: usize) -> Vec<Planned> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/messagekit-demo/data/retail-orders.csv");
    let mut file = csv::Reader::from_path(path).expect("the data is in the repository");
    let (mut orders, mut adjustments) = (Vec::new(), Vec::new());
    for row in file.deserialize::<Row>() {
        let row = row.expect("every row is whole");
        let customer = (!row.customer.is_empty()).then_some(row.customer);
        let order = Order { id: row.invoice, customer, country: row.country, pence: row.total_pence };
        match row.kind.as_str() {
            "order" => orders.push(order),
            "adjustment" => adjustments.push(order),
            _ => {}
        }
    }
    if !messagekit_tests::is_full() {
        orders.truncate(short - adjustments.len());
    }
    // Two of the adjustments are negative. They come in the middle, with orders of all kinds after them.
    let middle = orders.len() / 2;
    orders.splice(middle..middle, adjustments);
    let mut random = Rng::with_seed(seed);
    let plan =
        |order| Planned { order, after_a_refused_one: random.u32(..100) < 10, twice: random.u32(..100) < 3 };
    orders.into_iter().map(plan).collect()
}

/// Distributes the orders. All orders of a customer go to one writer, which serialises them by key.
pub(crate) fn dealt_to(writers: usize, orders: Vec<Planned>) -> Vec<Vec<Planned>> {
    let mut dealt = vec![Vec::new(); writers];
    for (index, planned) in orders.into_iter().enumerate() {
        let writer = match &planned.order.customer {
            Some(customer) => {
                customer.bytes().fold(7, |sum: usize, byte| sum * 31 % 1_000_003 + usize::from(byte))
            }
            None => index,
        };
        dealt[writer % writers].push(planned);
    }
    dealt
}
