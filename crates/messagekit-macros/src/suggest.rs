//! Suggestions: the nearest known name, and names built from words.

/// Returns the lowercase words of a name in any convention: `OrderPlaced`, `order_placed` and `order placed` all give
/// `order` and `placed`. Characters other than ASCII letters and digits only separate.
pub(crate) fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| characters.get(index)).copied().unwrap_or(' ');
        let after = characters.get(index + 1).copied().unwrap_or(' ');
        // Cut `orderId` before `I`, and `HTTPStatus` before `S`.
        let begins =
            character.is_ascii_uppercase() && (!before.is_ascii_uppercase() || after.is_ascii_lowercase());
        if (begins || !character.is_ascii_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_ascii_alphanumeric() {
            word.push(character.to_ascii_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns the candidate that `wanted` most likely means, if one is near enough.
pub(crate) fn nearest<'a>(wanted: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let wanted = comparable(wanted);
    let allowed = (wanted.len() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (distance(&wanted, &comparable(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns `; did you mean `name`?`, or nothing if no candidate is near.
pub(crate) fn did_you_mean(wanted: &str, candidates: &[&str]) -> String {
    nearest(wanted, candidates).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Returns the names as a phrase: `` `a`, `b` and `c` ``.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns a name without the differences between conventions, so that `orderId` and `order_id` are equal.
fn comparable(name: &str) -> Vec<char> {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the number of characters to insert, delete or replace to turn one text into the other.
fn distance(left: &[char], right: &[char]) -> usize {
    // `row` holds the distances from the part of `left` so far to every prefix of `right`.
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, one) in left.iter().enumerate() {
        let mut next = vec![index + 1];
        let mut to_the_left = index + 1;
        for ((above_left, above), other) in row.iter().zip(row.iter().skip(1)).zip(right) {
            let replaced = above_left + usize::from(one != other);
            to_the_left = replaced.min(above + 1).min(to_the_left + 1);
            next.push(to_the_left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_convention() {
        for name in
            ["OrderLineAdded", "order_line_added", "order-line added", "ORDER_LINE_ADDED", "orderLineAdded"]
        {
            assert_eq!(words(name), ["order", "line", "added"], "{name}");
        }
        assert_eq!(words("HTTPStatusSeen2"), ["http", "status", "seen2"]);
        assert_eq!(words("-_é"), Vec::<String>::new());
    }

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let fields = ["customer_id", "order_id", "total"];
        assert_eq!(nearest("orderId", &fields), Some("order_id"));
        assert_eq!(nearest("oder_id", &fields), Some("order_id"));
        assert_eq!(nearest("totl", &fields), Some("total"));
        assert_eq!(nearest("region", &fields), None);
        assert_eq!(nearest("", &fields), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn the_distance_counts_single_character_changes() {
        let distance = |left: &str, right: &str| {
            super::distance(&left.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>())
        };
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("topic", "topics"), 1);
    }

    #[test]
    fn names_are_listed_as_a_phrase() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
