//! Finds the event types of which another one may be a misspelling.
//!
//! Types of one topic are similar by nature: `orders.order.placed` and `orders.order.changed` share most of their letters. A share of
//! equal letters, as for topics, would take each for a misspelling of the other. So single slips are counted.

use std::cmp::Ordering;

/// Number of types that are shown.
const SHOWN: usize = 3;

/// The fewest letters and digits of a type in which one slip, and in which two slips are a misspelling. In shorter types one
/// slip makes another word.
const ONE_SLIP: usize = 5;
const TWO_SLIPS: usize = 10;

/// Returns the types of a list that are most like a type, the most similar first: equal but for case and separators, or one or
/// two slips away.
pub(super) fn similar_types<'a>(event_type: &str, known: &[&'a str]) -> Vec<&'a str> {
    let event_type = Spelling::of(event_type);
    let mut similar: Vec<(usize, &str)> =
        known.iter().filter_map(|known| Some((event_type.slips_to(&Spelling::of(known))?, *known))).collect();
    similar.sort_unstable();
    similar.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

/// A type in small letters, as its words.
struct Spelling(Vec<String>);

impl Spelling {
    fn of(event_type: &str) -> Self {
        let small = event_type.to_lowercase();
        let words = small.split(|character: char| !character.is_alphanumeric());
        Self(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    /// Returns how many slips lead from one type to the other, or `None` if these are two types.
    fn slips_to(&self, other: &Self) -> Option<usize> {
        let (one, other_one) = (self.0.concat(), other.0.concat());
        if one == other_one {
            return Some(0);
        }
        let (letters, other_letters) = (one.chars().count(), other_one.chars().count());
        // The lengths alone decide for most types, and for every type that a hostile producer made long.
        if letters.abs_diff(other_letters) > 1 || differ_by_number(&one, &other_one) {
            return None;
        }
        let slips = strsim::osa_distance(&one, &other_one);
        let is_slip = match slips {
            1 => letters.min(other_letters) >= ONE_SLIP,
            2 => letters.min(other_letters) >= TWO_SLIPS && self.begins_as(other),
            _ => false,
        };
        is_slip.then_some(slips)
    }

    /// Returns whether each word begins with the same letter. Two changed letters at the beginning of a word make another one:
    /// `imported` and `exported`.
    fn begins_as(&self, other: &Self) -> bool {
        let initials =
            |spelling: &Self| spelling.0.iter().map(|word| word.chars().next()).collect::<Vec<_>>();
        initials(self).cmp(&initials(other)) == Ordering::Equal
    }
}

/// Returns whether two names are equal but for their digits, as those of two versions are.
fn differ_by_number(one: &str, other: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|letter| !letter.is_numeric()).collect::<String>();
    letters(one) == letters(other)
}

#[cfg(test)]
mod tests {
    use super::similar_types;

    const KNOWN: [&str; 4] =
        ["orders.order.imported", "orders.order.paid", "orders.order.placed", "orders.order.v1"];

    #[test]
    fn a_misspelling_finds_what_was_meant() {
        for typo in [
            "orders.order.place",
            "orders.order.palced",
            "order.orders.placed",
            "orders.ordre.palced",
            "rders.order.placed",
            "Orders.Order.Placed",
            "orders.order_placed",
            "OrdersOrderPlaced",
            "orders.order.plåced",
        ] {
            assert_eq!(similar_types(typo, &KNOWN), ["orders.order.placed"], "{typo}");
        }
        let both = ["orders.order.closed", "orders.order.cloned"];
        assert_eq!(similar_types("orders.order.Closed", &both), both, "the most similar first");
    }

    #[test]
    fn another_word_and_another_version_are_other_types() {
        for other in [
            "orders.order.replaced",
            "orders.order.exported",
            "orders.order.unpaid",
            "orders.order.cancelled",
            "orders.order.v2",
            "orders.parcel.placed",
            "",
            "...",
        ] {
            assert_eq!(similar_types(other, &KNOWN), [""; 0], "{other}");
        }
        assert_eq!(similar_types("bill", &["bull", "b.i.l.l"]), ["b.i.l.l"], "one slip makes a short word");
    }

    #[test]
    fn at_most_three_are_shown() {
        let known = ["a.order.placed", "b.order.placed", "c.order.placed", "d.order.placed"];
        assert_eq!(similar_types("e.order.placed", &known), known[..3]);
    }
}
