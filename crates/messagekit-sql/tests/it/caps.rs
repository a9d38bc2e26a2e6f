//! No text is too large to be refused.

use messagekit_sql::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS, SyntaxError, parse, parse_script};

fn refused(text: &str) -> SyntaxError {
    let error = parse(text).expect_err("the text is no statement");
    assert_eq!(parse_script(text), Err(error.clone()));
    assert!(text.is_char_boundary(error.offset()));
    error
}

#[test]
fn a_text_has_at_most_a_mebibyte() {
    let comment = |length: usize| format!("SHOW TOPICS --{}", "é".repeat((length - 14) / 2));
    let text = comment(MAX_BYTES);
    assert_eq!(text.len(), MAX_BYTES);
    assert!(parse(&text).is_ok());
    let error = refused(&comment(MAX_BYTES + 2));
    let text = "expected at most 1048576 bytes, found 1048578 bytes at line 1, column ";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(error.snippet().len() < 500);
    let inside = refused(&format!(" {}", comment(MAX_BYTES)));
    assert_eq!(inside.offset(), MAX_BYTES - 1, "the byte at the cap is inside of a character");
}

#[test]
fn a_statement_has_ten_thousand_tokens_and_a_script_more() {
    let names = |count: usize| format!("SELECT {} FROM system.topics", vec!["name"; count].join(","));
    assert!(parse(&names(MAX_TOKENS / 2 - 2)).is_ok());
    let error = refused(&names(MAX_TOKENS / 2 + 2));
    assert!(error.to_string().starts_with("expected a statement of at most 10000 words"), "{error}");
    assert_eq!(parse_script(&"SHOW TOPICS;".repeat(MAX_TOKENS)).map(|all| all.len()), Ok(MAX_TOKENS));
}

#[test]
fn parentheses_stand_in_each_other_up_to_a_depth() {
    let filter = |depth: usize| {
        format!("ALTER TOPIC t ADD SOURCE o ON INSERT WHERE {}1{}", "(".repeat(depth), ")".repeat(depth))
    };
    assert!(parse(&filter(MAX_DEPTH)).is_ok());
    let error = refused(&filter(MAX_DEPTH + 1));
    assert_eq!(error.expected(), "at most 12 parentheses in each other");
    assert_eq!(error.offset(), filter(0).len() - 1 + MAX_DEPTH);
    refused(&"(".repeat(MAX_BYTES));
    refused(&")".repeat(MAX_BYTES));
}

#[test]
fn a_long_line_is_cut_around_its_token() {
    let text = format!("SELECT {} nothing more {}", "name, ".repeat(100), ", name".repeat(100));
    let error = refused(&text);
    let (line, carets) = error.snippet().split_once('\n').unwrap();
    assert_eq!((line.chars().next(), line.chars().last()), (Some('…'), Some('…')));
    let before = carets.chars().take_while(|character| *character == ' ').count();
    let pointed: String = line.chars().skip(before).take(carets.len() - before).collect();
    assert_eq!(pointed, "more", "{line}");
    assert!(line.chars().count() <= 102);
}

#[test]
fn what_has_no_end_is_refused_where_it_begins() {
    for (text, offset) in [
        ("ACK t GROUP 'abc", 12),
        ("CLEAR TOPIC \"abc", 12),
        ("SHOW TOPICS /* a /* b */", 12),
        ("SHOW TOPICS /*/", 12),
        ("ALTER TOPIC t ADD SOURCE o ON INSERT WHERE `a", 43),
    ] {
        assert_eq!(refused(text).offset(), offset, "{text}");
    }
    refused(&format!("ACK t GROUP '{}", "''".repeat(MAX_BYTES / 2 - 10)));
    refused(&"/*".repeat(MAX_BYTES / 2));
}
