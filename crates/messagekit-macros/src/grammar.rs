//! The grammar of the values in `#[event(...)]`.
//!
//! Each check takes the value and returns the text of the error: the fault, the value, and a correct form. The rules
//! are those that the `messagekit` crate applies to names at run time.

use crate::suggest;

/// The type to show if the author's own gives no hint.
pub(crate) const EXAMPLE_TYPE: &str = "orders.order.placed";

/// The longest type, in bytes.
const LONGEST_TYPE: usize = 200;

/// The longest topic, in characters, as in Kafka.
const LONGEST_TOPIC: usize = 249;

/// The result of a check: nothing, or the text of the error.
type Check = Result<(), String>;

/// Checks a type: `orders.order.placed`.
pub(crate) fn check_type(value: &str) -> Check {
    let problem = match type_problem(value) {
        Some(problem) => problem,
        None => return Ok(()),
    };
    let instead = similar_type(value);
    Err(format!("{problem}; write for example `{instead}`"))
}

/// Returns the fault of a type, if any.
fn type_problem(value: &str) -> Option<String> {
    let shown = shortened(value);
    if value.is_empty() {
        return Some("the event type is empty".to_owned());
    }
    if let Some(wrong) =
        value.chars().find(|character| !matches!(character, 'a'..='z' | '0'..='9' | '-' | '.'))
    {
        return Some(format!(
            "the event type `{shown}` contains {}: its segments are made of `a-z`, `0-9` and `-`, joined by dots",
            named(wrong)
        ));
    }
    if value.split('.').any(str::is_empty) {
        return Some(format!(
            "the event type `{shown}` has an empty segment: one dot goes between two segments"
        ));
    }
    if let Some(segment) = value.split('.').find(|segment| segment.starts_with('-') || segment.ends_with('-'))
    {
        return Some(format!(
            "the segment `{}` of the event type `{shown}` begins or ends with `-`: a letter or digit goes there",
            shortened(segment)
        ));
    }
    if !value.contains('.') {
        return Some(format!(
            "the event type `{shown}` has one segment: two or more are needed, joined by dots"
        ));
    }
    (value.len() > LONGEST_TYPE).then(|| {
        format!("the event type `{shown}` is {} bytes long: at most {LONGEST_TYPE} are allowed", value.len())
    })
}

/// Returns a correct type that is as similar to `value` as possible.
fn similar_type(value: &str) -> String {
    let segments: Vec<Vec<String>> =
        value.split(['.', '/', ':']).map(suggest::words).filter(|words| !words.is_empty()).collect();
    let similar = match segments.as_slice() {
        [words] => type_of_words(words),
        _ => segments.iter().map(|words| words.join("-")).collect::<Vec<_>>().join("."),
    };
    if type_problem(&similar).is_none() { similar } else { EXAMPLE_TYPE.to_owned() }
}

/// Returns a type for the words of a name: `OrderLineAdded` becomes `order-line.added`, with the action last.
pub(crate) fn type_of_words(words: &[String]) -> String {
    let similar = match words.split_last() {
        Some((happened, [])) => format!("orders.{happened}"),
        Some((happened, thing)) => format!("{}.{happened}", thing.join("-")),
        None => EXAMPLE_TYPE.to_owned(),
    };
    if type_problem(&similar).is_none() { similar } else { EXAMPLE_TYPE.to_owned() }
}

/// Returns the topic of a type that names none: the type without its last segment.
pub(crate) fn default_topic(event_type: &str) -> &str {
    event_type.rsplit_once('.').map_or(event_type, |(topic, _)| topic)
}

/// Checks an explicit topic: `orders.order`.
pub(crate) fn check_topic(value: &str) -> Check {
    let shown = shortened(value);
    let allowed = |character: &char| matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-');
    if value.is_empty() {
        return Err("the topic is empty; leave `topic` out to use the type without its last segment, \
                    or write for example `orders`"
            .to_owned());
    }
    if let Some(wrong) = value.chars().find(|character| !allowed(character)) {
        let similar: String =
            value.chars().map(|character| if allowed(&character) { character } else { '-' }).collect();
        let instead = if check_topic(&similar).is_ok() { similar.as_str() } else { "orders" };
        return Err(format!(
            "the topic `{shown}` contains {}: it is made of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`; \
             write for example `{instead}`",
            named(wrong)
        ));
    }
    if matches!(value, "." | "..") {
        return Err(format!("the topic `{value}` is reserved by brokers; write for example `orders`"));
    }
    // Every character is ASCII here, so bytes are characters.
    if value.len() > LONGEST_TOPIC {
        return Err(format!(
            "the topic `{shown}` is {} characters long: at most {LONGEST_TOPIC} are allowed; \
             write a shorter one, for example `orders`",
            value.len()
        ));
    }
    Ok(())
}

/// Checks a version: `1.0`.
pub(crate) fn check_version(value: &str) -> Check {
    let problem = match value.split('.').collect::<Vec<_>>().as_slice() {
        [major, minor] => match number_problem(major).or_else(|| number_problem(minor)) {
            Some(problem) => problem,
            None => return Ok(()),
        },
        [""] => return Err("the version is empty; write for example `1.0`".to_owned()),
        _ => "is not `MAJOR.MINOR`, two numbers joined by a dot".to_owned(),
    };
    // `v1`, `1` and `1.2.3` have an obvious meaning.
    let mut numbers =
        value.trim_start_matches(['v', 'V']).split('.').map(|part| part.trim().parse::<u32>().ok());
    let instead = match (numbers.next().flatten(), numbers.next()) {
        (Some(major), None) => format!("{major}.0"),
        (Some(major), Some(Some(minor))) => format!("{major}.{minor}"),
        _ => "1.0".to_owned(),
    };
    Err(format!("the version `{}` {problem}; write for example `{instead}`", shortened(value)))
}

/// Returns the fault of one number of a version, if any; the text continues "the version ...".
fn number_problem(number: &str) -> Option<String> {
    let shown = shortened(number);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("has `{shown}` where a decimal number goes"));
    }
    if number.len() > 1 && number.starts_with('0') {
        return Some(format!("has the number `{shown}` with a leading zero"));
    }
    number.parse::<u32>().is_err().then(|| format!("has the number `{shown}`, which is above {}", u32::MAX))
}

/// Checks a source: `shop`.
pub(crate) fn check_source(value: &str) -> Check {
    let shown = shortened(value);
    let problem = match value.chars().next() {
        None => "the source is empty".to_owned(),
        Some(first) => {
            match value.chars().find(|character| !matches!(character, 'a'..='z' | '0'..='9' | '-')) {
                Some(wrong) => {
                    format!(
                        "the source `{shown}` contains {}: it is made of `a-z`, `0-9` and `-`",
                        named(wrong)
                    )
                }
                None if first.is_ascii_lowercase() => return Ok(()),
                None => {
                    format!("the source `{shown}` begins with `{first}`: its first character is one of `a-z`")
                }
            }
        }
    };
    let similar = suggest::words(value).join("-");
    let similar = similar.trim_start_matches(|character: char| !character.is_ascii_lowercase());
    let instead = if similar.is_empty() { "shop" } else { similar };
    Err(format!("{problem}; write for example `{instead}`"))
}

/// Returns a value for an error, shortened to its beginning if it is long.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Returns a character for an error: the blank by its name, invisible ones by their number.
fn named(character: char) -> String {
    match character {
        ' ' => "a space".to_owned(),
        _ if character.is_control() || character.is_whitespace() => {
            format!("`{}`", character.escape_default())
        }
        _ => format!("`{character}`"),
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
