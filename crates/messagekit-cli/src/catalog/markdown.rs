//! Foreign text in Markdown and JSON.

use serde_json::Value;

use crate::output::{is_hostile, printable};

/// Returns a text as one line of Markdown that shows it as it is, also in a table.
pub(super) fn text(text: &str) -> String {
    let words: Vec<&str> = text.split(|next: char| next.is_whitespace() || next.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let mut escaped = String::new();
    for next in printable(&words.join(" ")).chars() {
        if r"\`*_{}[]<>|~&!$#".contains(next) {
            escaped.push('\\');
        }
        escaped.push(next);
    }
    escaped
}

/// Returns a name as code, or as plain text if it has characters that code cannot show in a table.
pub(super) fn code(name: &str) -> String {
    let is_plain = |next: char| next.is_ascii_alphanumeric() || "._-[]*:()/".contains(next);
    if !name.is_empty() && name.chars().all(is_plain) { format!("`{name}`") } else { text(name) }
}

/// Returns JSON on several lines, without characters that a reader does not see.
pub(super) fn json(value: &Value) -> String {
    let pretty = serde_json::to_string_pretty(value).expect("a value can be written as JSON");
    let mut shown = String::with_capacity(pretty.len());
    for next in pretty.chars() {
        // A line may end only between values, where the writer has ended it.
        if next != '\n' && (is_hostile(next) || matches!(next, '\u{2028}' | '\u{2029}')) {
            shown.push_str(&format!("\\u{:04x}", u32::from(next)));
        } else {
            shown.push(next);
        }
    }
    shown
}

/// Returns a block of code.
pub(super) fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{text}\n```\n")
}

/// Returns a row of a table, of cells that are Markdown already.
pub(super) fn row(cells: &[&str]) -> String {
    let mut row = String::from("|");
    for cell in cells {
        row.push_str(&format!(" {cell} |"));
    }
    row + "\n"
}

/// Returns the head of a table.
pub(super) fn head(names: &[&str]) -> String {
    row(names) + "|" + &"---|".repeat(names.len()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hostile_text_is_one_line_without_markup() {
        assert_eq!(text("a | b\n\n<b>*x*</b>\u{202e}"), r"a \| b \<b\>\*x\*\</b\>�");
        assert_eq!(code("order_id"), "`order_id`");
        assert_eq!(code("a`|b"), r"a\`\|b");
        assert_eq!(code(""), "");
    }

    #[test]
    fn json_shows_what_hides_in_it_and_stays_the_same() {
        let value = json!({"a": "x\u{202e}y\u{7f}\u{2028}```\n", "b": ["ü"]});
        let shown = json(&value);
        assert!(shown.contains(r"x\u202ey\u007f\u2028```\n") && shown.contains('ü'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        assert!(shown.lines().all(|line| !line.trim_start().starts_with("```")));
    }
}
