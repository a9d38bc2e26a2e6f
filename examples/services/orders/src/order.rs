//! An order in requests and answers.

use serde::{Deserialize, Serialize};

/// An order. `pence` is its total, negative for a refund.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) order_id: String,
    pub(crate) customer: Option<String>,
    pub(crate) country: String,
    pub(crate) pence: i64,
}

impl Order {
    /// Returns the field that is invalid, without its value: an answer repeats nothing of the request.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !is_name(&self.order_id) {
            Err("order_id is not 1 to 64 characters of a-z A-Z 0-9 . _ -")
        } else if self.customer.as_deref().is_some_and(|customer| !is_name(customer)) {
            Err("customer is neither null nor 1 to 64 characters of a-z A-Z 0-9 . _ -")
        } else if self.country.is_empty()
            || self.country.len() > 100
            || self.country.contains(char::is_control)
        {
            Err("country is not 1 to 100 bytes of plain text")
        } else {
            Ok(())
        }
    }
}

/// Returns whether a text may name an order or a customer.
pub(crate) fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order { order_id: "536365".into(), customer: None, country: "United Kingdom".into(), pence: 13_912 }
    }

    #[test]
    fn an_order_of_an_unknown_customer_is_valid() {
        assert_eq!(order().check(), Ok(()));
    }

    #[test]
    fn a_field_out_of_form_is_named_and_not_repeated() {
        let wrong = [
            ("order_id", Order { order_id: "../1".into(), ..order() }),
            ("order_id", Order { order_id: String::new(), ..order() }),
            ("customer", Order { customer: Some("x".repeat(65)), ..order() }),
            ("country", Order { country: "a\0b".into(), ..order() }),
        ];
        for (field, order) in wrong {
            let problem = order.check().expect_err("out of form");
            assert!(problem.starts_with(field), "{problem}");
        }
    }
}
