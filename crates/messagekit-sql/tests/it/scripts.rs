//! Several statements in one text.

use messagekit_sql::{Command, parse, parse_script};

#[test]
fn a_script_is_split_at_semicolons_alone() {
    let text = ";; ACK t GROUP 'a;b' UPTO OFFSET 1;\n-- no; statement\nSHOW TOPICS /* ; */;;\nCLEAR TOPIC \"a-b\" ; ";
    let printed: Vec<String> = parse_script(text).unwrap().iter().map(Command::to_string).collect();
    assert_eq!(printed, ["ACK t GROUP 'a;b' UPTO OFFSET 1", "SHOW TOPICS", "CLEAR TOPIC \"a-b\""]);
}

#[test]
fn a_script_may_have_no_statement_and_a_statement_must_be_there() {
    for text in ["", " \n", ";", "-- nothing", ";;;"] {
        assert_eq!(parse_script(text), Ok(Vec::new()), "{text:?}");
        assert!(parse(text).unwrap_err().expected().starts_with("CREATE, ALTER"), "{text:?}");
    }
}

#[test]
fn an_error_of_a_script_has_the_position_in_the_whole_text() {
    let text = "SHOW TOPICS;\nCLEAR TOPIC t;\n  CLEAR TABLE t; SHOW TOPICS";
    let error = parse_script(text).unwrap_err();
    assert_eq!((error.line(), error.column()), (3, 9));
    assert_eq!(&text[error.offset()..][..5], "TABLE");
    assert_eq!(error.snippet(), "  CLEAR TABLE t; SHOW TOPICS\n        ^^^^^");
}

#[test]
fn a_single_statement_takes_no_second_one() {
    assert_eq!(parse("SHOW TOPICS;; -- that is all\n"), Ok(Command::ShowTopics));
    let error = parse("SHOW TOPICS; DROP TOPIC t").unwrap_err();
    assert_eq!(error.offset(), 13);
    assert_eq!(
        error.to_string(),
        "expected one statement, found `DROP` at line 1, column 14: run several statements as a script"
    );
}
