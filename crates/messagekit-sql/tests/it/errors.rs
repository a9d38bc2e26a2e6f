//! Errors point at the token, and say what to write.

use messagekit_sql::parse;

/// A text, the line and column of its error, and what that says.
pub(crate) type Case = (&'static str, usize, usize, &'static str);

pub(crate) fn assert_refused(cases: &[Case]) {
    for (text, line, column, message) in cases {
        let error = parse(text).expect_err(text);
        let cure = error.cure().map(|cure| format!("; {cure}")).unwrap_or_default();
        let sentence = format!("expected {}, found {}{cure}", error.expected(), error.found());
        assert_eq!(sentence, *message, "{text}");
        assert_eq!((error.line(), error.column()), (*line, *column), "{text}: {error}\n{}", error.snippet());
    }
}

const TOKENS: &[Case] = &[
    (
        "INSERT INTO orders VALUES (1)",
        1,
        1,
        "expected CREATE, ALTER, DROP, CLEAR, CONSUME, ACK, RESET, SHOW or SELECT, found `INSERT`; statements here \
             are about topics: write rows with a client of the database",
    ),
    ("SHOW 'TOPICS\0\u{202e}'", 1, 6, "expected TOPICS or ROUTES, found `'TOPICS\\0\\u{202e}'`"),
    ("SHOW 🚀", 1, 6, "expected a word, a name, a number, a string or an operator, found `🚀`"),
    (
        "ACK t GROUP ‘g’",
        1,
        13,
        "expected a word, a name, a number, a string or an operator, found `‘`; write plain quotes, ' and \"",
    ),
    (
        "ACK t GROUP 'g",
        1,
        13,
        "expected a string that ends with `'`, found `'g`; write a quote that stands inside of it twice",
    ),
];

#[test]
fn an_error_names_the_token_and_the_cure() {
    assert_refused(TOKENS);
}

#[test]
fn an_error_is_one_sentence_and_shows_its_line() {
    let error = parse("CREATE TOPIC grün.a\n\tPARTITIONZ 4;").unwrap_err();
    assert_eq!((error.line(), error.column()), (1, 14));
    let error = parse("CREATE TOPIC shop.a\n\tPARTITIONZ 4;").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected PARTITIONS, WITH or the end of the statement, found `PARTITIONZ` at line 2, column 2"
    );
    assert_eq!(error.snippet(), " PARTITIONZ 4;\n ^^^^^^^^^^");
    let error = parse("CONSUME FROM t GROUP shipping").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected the name of a group in single quotes, found `shipping` at line 1, column 22: write it in single quotes"
    );
}

#[test]
fn a_long_token_is_cut_in_an_error() {
    let error = parse(&format!("SHOW {}", "x".repeat(100_000))).unwrap_err();
    assert_eq!(error.found(), format!("`{}…`", "x".repeat(60)));
    assert!(error.to_string().len() < 200 && error.snippet().len() < 500);
}
