//! Tests of the grammar, value by value.

use super::*;

/// Returns the error text of a check that fails.
fn refused(check: Check) -> String {
    check.expect_err("the value is accepted")
}

#[test]
fn a_type_is_two_or_more_lowercase_segments() {
    for good in ["a.b", "orders.order.placed", "1.2", "order-lines.line-2.added", "a--b.c", "a.b.c.d.e.f"] {
        assert_eq!(check_type(good), Ok(()), "{good}");
    }
    for bad in [
        "", ".", "a", "a.", ".a", "a..b", "A.b", "a.B", "a_b.c", "a b.c", "-a.b", "a-.b", "a.-", "ä.b",
        "a.b\n", "a/b",
    ] {
        assert!(check_type(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_type_has_at_most_200_bytes() {
    let longest = format!("{}.b", "a".repeat(198));
    assert_eq!(check_type(&longest), Ok(()));
    let text = refused(check_type(&format!("a{longest}")));
    assert!(text.contains("201 bytes") && text.contains("at most 200"), "{text}");
    assert!(text.len() < 250, "the long value is not repeated in full: {text}");
}

#[test]
fn a_refused_type_comes_with_a_correct_one_near_it() {
    for (wrong, instead) in [
        ("Orders.OrderPlaced", "orders.order-placed"),
        ("orders..placed", "orders.placed"),
        ("orders.order_placed", "orders.order-placed"),
        ("orders/order/placed", "orders.order.placed"),
        ("placed", "orders.placed"),
        ("OrderPlaced", "order.placed"),
        ("-orders.placed-", "orders.placed"),
        ("", EXAMPLE_TYPE),
        ("...", EXAMPLE_TYPE),
    ] {
        assert!(
            refused(check_type(wrong)).ends_with(&format!("`{instead}`")),
            "{wrong}: {:?}",
            check_type(wrong)
        );
    }
}

#[test]
fn the_default_topic_is_valid_and_drops_the_last_type_segment() {
    for (event_type, topic) in [("orders.order.placed", "orders.order"), ("a.b", "a")] {
        assert_eq!(default_topic(event_type), topic);
        assert_eq!(check_topic(topic), Ok(()));
    }
}

#[test]
fn topic_allows_alphanumerics_dots_underscores_and_hyphens() {
    for good in ["a", "Orders_v2.order-placed", "...", ".a", "-", &"t".repeat(249)] {
        assert_eq!(check_topic(good), Ok(()), "{good}");
    }
    for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"t".repeat(250)] {
        assert!(check_topic(bad).is_err(), "{bad:?}");
    }
    assert!(refused(check_topic("orders/eu west")).ends_with("write for example `orders-eu-west`"));
}

#[test]
fn a_version_is_two_numbers() {
    for good in ["0.0", "1.0", "10.20", "4294967295.4294967295"] {
        assert_eq!(check_version(good), Ok(()), "{good}");
    }
    for bad in
        ["", "1", "1.", ".1", "1.2.3", "v1.0", "01.0", "1.00", "-1.0", "+1.0", "1.0 ", "٣.0", "4294967296.0"]
    {
        assert!(check_version(bad).is_err(), "{bad:?}");
    }
    for (wrong, instead) in
        [("1", "1.0"), ("v2", "2.0"), ("1.2.3", "1.2"), ("01.2", "1.2"), ("one", "1.0"), ("3.x", "1.0")]
    {
        assert!(
            refused(check_version(wrong)).ends_with(&format!("write for example `{instead}`")),
            "{wrong}"
        );
    }
}

#[test]
fn a_source_begins_with_a_letter() {
    for good in ["a", "shop", "shop-2", "s-"] {
        assert_eq!(check_source(good), Ok(()), "{good}");
    }
    for bad in ["", "Shop", "2shop", "-shop", "shop.eu", "shop_eu", "é"] {
        assert!(check_source(bad).is_err(), "{bad:?}");
    }
    assert!(refused(check_source("WebShop")).ends_with("write for example `web-shop`"));
    assert!(refused(check_source("2-shop")).ends_with("write for example `shop`"));
    assert!(refused(check_source("42")).ends_with("write for example `shop`"));
}

#[test]
fn no_value_makes_a_check_panic_or_suggest_something_refused() {
    for value in [
        "",
        "\u{0}",
        "é",
        "....",
        "----",
        "a.-.b",
        "\u{1F600}.\u{1F600}",
        "x:",
        "9",
        "V",
        "v.v",
        &"é.".repeat(300),
    ] {
        for (check, text) in [
            (check_type as fn(&str) -> Check, check_type(value)),
            (check_topic, check_topic(value)),
            (check_version, check_version(value)),
            (check_source, check_source(value)),
        ] {
            if let Err(text) = text {
                let instead = text.rsplit('`').nth(1).unwrap_or_default();
                assert_eq!(check(instead), Ok(()), "{value:?}: {text}");
            }
        }
    }
}
