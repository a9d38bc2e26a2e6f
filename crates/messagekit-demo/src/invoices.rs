//! The invoices of a real shop, repeated as often as necessary.

use jiff::Timestamp;
use messagekit::{Error, ErrorKind};
use serde::Deserialize;

use crate::events::{InvoiceAdjusted, InvoiceCancelled, InvoicePlaced, ShopEvent};

/// D. Chen, Online Retail, UCI Machine Learning Repository, CC BY 4.0; see `data/README.md`.
const YEAR: &str = include_str!("../data/retail-orders.csv");

/// The number of invoices of the year.
pub(crate) const IN_A_YEAR: u32 = 25_900;

/// An event to write, and when it happened.
#[derive(Clone, Debug)]
pub(crate) struct Invoice {
    pub(crate) at: Option<Timestamp>,
    pub(crate) event: ShopEvent,
}

#[derive(Deserialize)]
struct Row {
    at: Timestamp,
    invoice: String,
    kind: Kind,
    customer: Option<String>,
    country: String,
    lines: u32,
    items: i64,
    total_pence: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Order,
    Cancellation,
    Adjustment,
}

/// Returns the first `count` invoices. After the last one the year repeats, with the round in each invoice's number.
pub(crate) fn of_the_year(count: u32) -> Result<Vec<Invoice>, Error> {
    let year = csv::Reader::from_reader(YEAR.as_bytes())
        .into_deserialize()
        .take(count as usize)
        .map(|row| row.map(Row::into_invoice))
        .collect::<Result<Vec<Invoice>, csv::Error>>()
        .map_err(|error| Error::new(ErrorKind::Corrupt, "the invoices in this program").caused_by(error))?;
    let rounds = (1..).flat_map(|round: u32| year.iter().map(move |invoice| invoice.in_round(round)));
    Ok(rounds.take(count as usize).collect())
}

impl Row {
    fn into_invoice(self) -> Invoice {
        let Self { at, invoice, kind, customer, country, lines, items, total_pence } = self;
        let event = match kind {
            Kind::Order => {
                ShopEvent::Placed(InvoicePlaced { invoice, customer, country, lines, items, total_pence })
            }
            Kind::Cancellation => ShopEvent::Cancelled(InvoiceCancelled { invoice, customer, total_pence }),
            Kind::Adjustment => ShopEvent::Adjusted(InvoiceAdjusted { invoice, customer, total_pence }),
        };
        Invoice { at: Some(at), event }
    }
}

impl Invoice {
    fn in_round(&self, round: u32) -> Self {
        let mut again = self.clone();
        if round > 1 {
            let number = match &mut again.event {
                ShopEvent::Placed(event) => &mut event.invoice,
                ShopEvent::Cancelled(event) => &mut event.invoice,
                ShopEvent::Adjusted(event) => &mut event.invoice,
                ShopEvent::Foreign { .. } => return again,
            };
            number.push_str(&format!("-{round}"));
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pence(invoices: &[Invoice]) -> i64 {
        invoices.iter().map(|invoice| invoice.event.row().1).sum()
    }

    #[test]
    fn the_year_is_what_its_description_says() {
        let year = of_the_year(IN_A_YEAR).unwrap();
        assert_eq!(year.len(), IN_A_YEAR as usize);
        assert_eq!(pence(&year), 974_774_793);
        let of_type = |event_type: &str| year.iter().filter(|i| i.event.event_type() == event_type).count();
        assert_eq!(of_type("shop.invoice.placed"), 22_061);
        assert_eq!(of_type("shop.invoice.cancelled"), 3_836);
        assert_eq!(of_type("shop.invoice.adjusted"), 3);
        assert_eq!(year.iter().filter(|i| i.event.key().is_none()).count(), 3_710);
    }

    #[test]
    fn a_longer_run_repeats_the_year_under_other_numbers() {
        let runs = of_the_year(IN_A_YEAR + 2).unwrap();
        let number = |index: usize| runs[index].event.row().0.to_owned();
        assert_eq!((number(0), number(25_900)), ("536365".to_owned(), "536365-2".to_owned()));
    }

    #[test]
    fn a_shorter_run_takes_the_first() {
        assert_eq!(of_the_year(3).unwrap().len(), 3);
    }
}
