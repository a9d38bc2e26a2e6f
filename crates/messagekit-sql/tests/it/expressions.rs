//! Filters and keys of a source: where they end, and whether they are one expression.

use messagekit_sql::{Command, MAX_EXPRESSION_BYTES, NewSource, parse};

fn source(clauses: &str) -> Result<NewSource, messagekit_sql::SyntaxError> {
    match parse(&format!("ALTER TOPIC t ADD SOURCE o ON INSERT {clauses}"))? {
        Command::AddSource(source) => Ok(source),
        other => panic!("{other}"),
    }
}

#[test]
fn a_filter_is_kept_as_it_is_written() {
    for filter in [
        "OLD.status IS DISTINCT FROM 'paid' AND NEW.status = 'paid'",
        "a IS NOT 'paid'",
        "`a` = [b]",
        "(data ->> 'kind') = 'x;y'",
        "name = 'it''s (WITH ( WHERE'",
        "at::timestamp with time zone > '2026-01-01'",
        "CASE WHEN a = 1 THEN true ELSE false END",
        "id IN (1, 2)\n  OR b BETWEEN 1.5 AND 2e3",
        "\"partition\" = 1 AND lower(x) LIKE 'ä%'",
        "sum(a) OVER (PARTITION BY b) > 1",
    ] {
        for rest in ["", " PARTITION BY (k)", " WITH (payload = 'key')", ";"] {
            let text = format!("WHERE {filter}{rest}");
            let source = source(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(source.filter.as_deref(), Some(filter), "{text}");
        }
    }
}

#[test]
fn a_comment_is_no_part_of_an_expression() {
    let source =
        source("WHERE /* first */ a -- second\n = /* third */ 1 /* last */ PARTITION BY (/**/b)").unwrap();
    assert_eq!(source.filter.as_deref(), Some("a = 1"));
    assert_eq!(source.key.as_deref(), Some("b"));
}

#[test]
fn a_key_ends_with_its_parenthesis() {
    for key in ["customer", "coalesce(NEW.a, (OLD.a))", "a || ')' || b"] {
        let source = source(&format!("PARTITION BY ({key}) WHERE a = 1")).unwrap();
        assert_eq!(source.key.as_deref(), Some(key));
    }
}

#[test]
fn what_is_no_single_expression_is_refused_at_its_token() {
    for (clauses, at, message) in [
        ("WHERE", "", "expected an expression over the columns of a row, found the end of the statement"),
        ("WHERE;", ";", "expected an expression over the columns of a row, found `;`"),
        ("WHERE a = ", "", "expected an expression, found the end of the statement"),
        ("WHERE a = 1 b = 2", "b = 2", "expected the end of the expression, found `b`"),
        ("WHERE\n a = 1)\n OR (b", ")\n OR", "expected the end of the expression, found `)`"),
        ("WHERE (a = 1", "", "expected `)`, found the end of the statement"),
        ("WHERE a = = 1", "= 1", "expected an expression, found `=`"),
        ("WHERE /* c */ ä = /* c */ ,", ",", "expected an expression, found `,`"),
        ("WHERE a = 1 WHERE b", "WHERE b", "expected WHERE once, found a second one"),
        ("PARTITION BY ()", ")", "expected an expression over the columns of a row, found `)`"),
        ("PARTITION BY (a, b)", ", b)", "expected the end of the expression, found `,`"),
        ("PARTITION BY (a", "", "expected `)`, found the end of the statement"),
        ("WHERE a = $1", "$1", "expected a word, a name, a number, a string or an operator, found `$`"),
    ] {
        let text = format!("ALTER TOPIC t ADD SOURCE o ON INSERT {clauses}");
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().starts_with(message), "{clauses}: {error}");
        assert!(text[error.offset()..].starts_with(at), "{clauses}: {}", &text[error.offset()..]);
        assert!(!at.is_empty() || error.offset() == text.len(), "{clauses}: {}", error.offset());
    }
}

#[test]
fn an_expression_may_be_neither_long_nor_deep() {
    let long = format!("WHERE a = '{}'", "x".repeat(MAX_EXPRESSION_BYTES - 6));
    assert_eq!(source(&long).unwrap().filter.map(|filter| filter.len()), Some(MAX_EXPRESSION_BYTES));
    let error = source(&long.replacen("a =", "a  =", 1)).unwrap_err();
    assert_eq!(error.found(), "4001 bytes");
    for word in
        ["NOT ", "- ", "a = NOT ", "CASE WHEN ", "INTERVAL ", "ARRAY[", "a + ", "a AND ", "a BETWEEN "]
    {
        let times = MAX_EXPRESSION_BYTES / word.len() - 1;
        let error = source(&format!("WHERE {}1", word.repeat(times))).unwrap_err();
        let is_chain = word.starts_with("a +") || word.starts_with("a AND");
        let expected = "an expression with fewer operators on each other";
        // Within sqlparser the limit may end one reading, and the next one fails elsewhere.
        assert!(!is_chain || error.expected() == expected, "{word}: {error}");
    }
    let conditions = "id = 1 OR ".repeat(98);
    let values = "1, ".repeat(1_000);
    for filter in [format!("{conditions} true"), format!("id IN ({values} 2)")] {
        assert_eq!(source(&format!("WHERE {filter}")).unwrap().filter, Some(filter));
    }
}
