//! A year of a real shop's invoices through four arms, with failures on the way and the sums equal to the penny.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_topics::{Pipeline, Strategy, Topic, Topics};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::home::{self, Db};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Invoice {
    invoice: String,
    kind: String,
    customer: Option<String>,
    items: i64,
    total_pence: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Posting {
    invoice: String,
    pence: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Parcel {
    invoice: String,
    items: i64,
}

/// The most items of a parcel.
const PARCEL: i64 = 500;

/// The invoices of the year, the orders among them, and the sum of all in pence.
const YEAR: (usize, usize, i64) = (25_900, 22_061, 974_774_793);

/// Of how many invoices one is taken.
fn one_of() -> usize {
    if std::env::var_os("MESSAGEKIT_FULL").is_some() { 1 } else { home::ONE_INVOICE_OF }
}

/// Returns the invoices of the year, or those of each kind that the gate has time for.
fn invoices() -> Vec<Invoice> {
    let file = include_str!("../../../messagekit-demo/data/retail-orders.csv");
    let all = csv::Reader::from_reader(file.as_bytes()).into_deserialize().map(Result::<Invoice, _>::unwrap);
    let taken = all.enumerate().filter(|(at, invoice)| at % one_of() == 0 || invoice.kind == "adjustment");
    taken.map(|(_, invoice)| invoice).collect()
}

struct Books {
    invoices: Topic<Invoice, Db>,
    orders: Topic<Invoice, Db>,
    refunds: Topic<Posting, Db>,
    ledger: Topic<Posting, Db>,
    parcels: Topic<Parcel, Db>,
}

impl Books {
    async fn open(topics: &Topics<Db>) -> Self {
        let four = NonZeroU32::new(4).unwrap();
        let invoices = topics.topic("shop.invoices").dedup(["invoice"]).key("customer").partitions(four);
        Self {
            invoices: invoices.open().await.unwrap(),
            orders: topics.topic("shop.orders").dedup(["invoice"]).open().await.unwrap(),
            refunds: topics.topic("shop.refunds").dedup(["invoice"]).open().await.unwrap(),
            ledger: topics.topic("shop.ledger").dedup(["invoice"]).open().await.unwrap(),
            parcels: topics.topic("shop.parcels").open().await.unwrap(),
        }
    }

    /// Four arms over the invoices. The ledger fails on every 500th invoice, as often as it is asked.
    fn graph(&self, topics: &Topics<Db>, is_sound: bool) -> Pipeline<Db> {
        let orders = self
            .invoices
            .filter_map(async |invoice: Invoice| ok((invoice.kind == "order").then_some(invoice)));
        let refunds = self.invoices.filter_map(async |invoice: Invoice| {
            ok((invoice.total_pence < 0)
                .then(|| Posting { pence: -invoice.total_pence, invoice: invoice.invoice }))
        });
        let ledger = self.invoices.pipe(move |invoice: Invoice| async move {
            if !is_sound && invoice.invoice.ends_with("500") {
                return Err(format!("{} cannot be posted", invoice.invoice));
            }
            Ok(Posting { pence: invoice.total_pence, invoice: invoice.invoice })
        });
        let parcels = self.invoices.flat_map(async |invoice: Invoice| {
            let full = invoice.items.max(0) / PARCEL;
            let rest = invoice.items.max(0) % PARCEL;
            let items = std::iter::repeat_n(PARCEL, full as usize).chain((rest > 0).then_some(rest));
            ok(items.map(|items| Parcel { invoice: invoice.invoice.clone(), items }).collect())
        });
        let arms = [
            orders.to(&self.orders),
            refunds.to(&self.refunds),
            ledger.to(&self.ledger),
            parcels.to(&self.parcels),
        ];
        topics.full_pipeline(arms).unwrap().strategy(Strategy::BestEffort)
    }
}

fn ok<T>(value: T) -> Result<T, std::convert::Infallible> {
    Ok(value)
}

async fn sum<T>(topic: &Topic<T, Db>, of: impl Fn(T) -> i64) -> (usize, i64)
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let all: Vec<i64> = topic.iter_all().map_ok(|record| of(record.data)).try_collect().await.unwrap();
    (all.len(), all.iter().sum())
}

#[tokio::test]
async fn a_year_through_four_arms_is_right_to_the_penny() {
    let topics = home::topics().await;
    let (books, year) = (Books::open(&topics).await, invoices());
    for some in year.chunks(1_000) {
        books.invoices.extend(some).await.unwrap();
    }
    let failing = year.iter().filter(|invoice| invoice.invoice.ends_with("500")).count();
    let graph = books.graph(&topics, false);
    // Cut short somewhere in the middle, and started again.
    let cut_short = tokio::time::timeout(Duration::from_millis(300), graph.run()).await;
    assert!(cut_short.is_err(), "a year takes longer than that");
    let failed = graph.run().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Other);
    let counts = books.invoices.count().await.unwrap();
    assert_eq!((counts.new, counts.handled), (failing as u64, (year.len() - failing) as u64));
    books.graph(&topics, true).run().await.unwrap();

    let placed = year.iter().filter(|invoice| invoice.kind == "order").count();
    let total: i64 = year.iter().map(|invoice| invoice.total_pence).sum();
    if one_of() == 1 {
        assert_eq!((year.len(), placed, total), YEAR);
    }
    assert_eq!(books.invoices.count().await.unwrap().handled, year.len() as u64);
    assert_eq!(sum(&books.ledger, |posting| posting.pence).await, (year.len(), total));
    let (orders, gross) = sum(&books.orders, |order| order.total_pence).await;
    let (_, refunded) = sum(&books.refunds, |posting| posting.pence).await;
    assert_eq!(orders, placed);
    let other: i64 = year
        .iter()
        .filter(|invoice| invoice.kind != "order" && invoice.total_pence > 0)
        .map(|invoice| invoice.total_pence)
        .sum();
    let negative: i64 = year
        .iter()
        .filter(|invoice| invoice.kind == "order" && invoice.total_pence < 0)
        .map(|invoice| invoice.total_pence)
        .sum();
    assert_eq!(gross - negative + other - refunded, total);
    let items: i64 = year.iter().map(|invoice| invoice.items.max(0)).sum();
    assert_eq!(sum(&books.parcels, |parcel| parcel.items).await.1, items);
}
