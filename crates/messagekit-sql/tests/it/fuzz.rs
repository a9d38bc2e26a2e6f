//! Random texts never make the parser panic, and an error always points into its text.

use std::panic::catch_unwind;

use fastrand::Rng;
use messagekit_sql::{SyntaxError, parse, parse_script};

/// Statements that are read, for the fuzzer to break.
const STATEMENTS: [&str; 15] = [
    "CREATE TOPIC IF NOT EXISTS shop.orders PARTITIONS 4 WITH (retention_seconds = 60, retention_max_bytes = NULL)",
    "CREATE TOPIC a WITH (retention_consumed = true, retention_unhandled_seconds = 9, dedup = ('url', 'title'), key = 'url', published = true)",
    "ALTER TOPIC t ADD SOURCE public.orders ON INSERT, UPDATE WHERE OLD.a <> 'x' AND (NEW.b IS NULL OR c BETWEEN 1 AND 2)",
    "ALTER TOPIC t ADD OR REPLACE SOURCE \"o\" ON DELETE PARTITION BY (coalesce(a, 'b')) WITH (payload = 'diff')",
    "ALTER TOPIC t DROP SOURCE public.orders",
    "ALTER TOPIC t SET RETENTION WITH (retention_seconds = 9223372036854)",
    "ALTER TOPIC t CLEAR RETENTION; CLEAR TOPIC t; SHOW TOPICS",
    "DROP TOPIC IF EXISTS \"shop-eu.orders\" CASCADE",
    "CONSUME FROM shop.orders PARTITION 0 GROUP 'ship''ping' FROM EARLIEST LIMIT 100",
    "ACK shop.orders GROUP 'g' PARTITION 1 UPTO OFFSET 9223372036854775807",
    "RESET CONSUMER GROUP 'g' ON t PARTITION 3 TO LATEST",
    "DROP CONSUMER GROUP IF EXISTS 'g' ON t",
    "SHOW ROUTES FOR shop.orders -- a comment",
    "SELECT * FROM system.topics /* a /* nested */ comment */ WHERE name = 'x' LIMIT 5",
    "SELECT group_id, lag FROM system.topic_offsets WHERE lag > -1 AND group_id IS NOT NULL ORDER BY lag DESC",
];

/// Pieces of expressions, and texts that no statement has.
const PIECES: [&str; 92] = [
    "'",
    "''",
    "\"",
    "`",
    "(",
    ")",
    "((((((((",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ";",
    "=",
    "<",
    ">",
    "<=",
    ">=",
    "<>",
    "!=",
    "-",
    "--",
    "/*",
    "*/",
    "/",
    "*",
    "+",
    "%",
    "|",
    "||",
    "->>",
    "#>",
    "@>",
    "?",
    "$1",
    "$$",
    "\\",
    "::",
    ":",
    "~",
    "^",
    "&",
    "!",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{feff}",
    "\u{202e}",
    "\u{a0}",
    "é",
    "ß",
    "漢字",
    "🚀",
    "👨‍👩‍👧",
    "e\u{301}",
    "‘",
    "0",
    "1",
    "007",
    "1.5",
    "1e5",
    "0x1F",
    "12abc",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "a",
    "NEW.a",
    "NULL",
    "NOT",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(a AS",
    "::int[]",
    "INTERVAL",
    "ARRAY[",
    "ARRAY<",
    "EXISTS",
    "IN (",
    "BETWEEN",
    "LIKE",
    "OVER (PARTITION BY",
    "STRUCT<",
    "EXTRACT(",
    "E'",
    "X'00'",
    "AT TIME ZONE",
    "COLLATE",
    "PRIOR",
];

fn words() -> Vec<&'static str> {
    let words = STATEMENTS.iter().flat_map(|statement| statement.split_ascii_whitespace());
    words.chain(PIECES).collect()
}

/// Returns random words, in which a keyword often stands at the beginning.
fn soup(random: &mut Rng, words: &[&str]) -> String {
    let mut text = match random.u8(0..4) {
        0 => "ALTER TOPIC t ADD SOURCE o ON INSERT WHERE ".to_owned(),
        1 => random
            .choice(STATEMENTS)
            .unwrap_or_default()
            .split(' ')
            .take(random.usize(1..4))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    for _ in 0..random.usize(0..24) {
        text.push_str(if random.u8(0..4) == 0 { "" } else { " " });
        text.push_str(words[random.usize(..words.len())]);
    }
    text
}

/// Returns an expression of some pieces again and again, which may be as deep as it is long.
fn deep(random: &mut Rng) -> String {
    let mut pieces = String::new();
    for _ in 0..random.usize(1..4) {
        pieces.push_str(random.choice(PIECES).unwrap_or_default());
        pieces.push(' ');
    }
    format!("ALTER TOPIC t ADD SOURCE o ON INSERT WHERE {}", pieces.repeat(random.usize(0..400)))
}

/// Returns a statement with some characters deleted, doubled, replaced, or moved.
fn mutated(random: &mut Rng) -> String {
    let mut characters: Vec<char> = random.choice(STATEMENTS).unwrap_or_default().chars().collect();
    for _ in 0..random.usize(0..4) {
        let at = random.usize(..=characters.len());
        let end = (at + random.usize(0..6)).min(characters.len());
        match random.u8(0..5) {
            0 => drop(characters.drain(at..end)),
            1 => drop(characters.splice(at..end, random.choice(PIECES).unwrap_or_default().chars())),
            2 => characters.insert(at, random.char(..)),
            3 => {
                let copy: Vec<char> = characters[at..end].to_vec();
                characters.splice(at..at, copy);
            }
            _ => characters.truncate(at),
        }
    }
    characters.into_iter().collect()
}

/// Returns whether the text is a statement. What is read is printed, and read again as the same.
fn judge(text: &str) -> bool {
    match parse_script(text) {
        Ok(commands) => {
            let printed: Vec<String> = commands.iter().map(ToString::to_string).collect();
            assert_eq!(parse_script(&printed.join(";")), Ok(commands), "{printed:?}");
        }
        Err(error) => assert_points_into(text, &error),
    }
    parse(text).map_err(|error| assert_points_into(text, &error)).is_ok()
}

fn assert_points_into(text: &str, error: &SyntaxError) {
    assert!(text.is_char_boundary(error.offset()), "{error:?}");
    let before = &text[..error.offset()];
    let line = before.rsplit('\n').next().unwrap_or_default();
    assert_eq!(error.line(), before.matches('\n').count() + 1);
    assert_eq!(error.column(), line.chars().count() + 1);
    let (shown, carets) = error.snippet().split_once('\n').expect("carets stand below the line");
    assert!(
        shown.chars().count() <= 102 && carets.chars().count() <= 102 && carets.ends_with('^'),
        "{error:?}"
    );
    let sentence = error.to_string();
    assert!(sentence.starts_with("expected ") && !sentence.contains(char::is_control), "{sentence:?}");
    assert!(!error.expected().is_empty() && !error.found().is_empty());
}

#[test]
fn random_statements_never_panic() {
    let full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|full| full == "1");
    let seed = std::env::var("MESSAGEKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("MESSAGEKIT_SEED={seed}");
    let (mut random, words) = (Rng::with_seed(seed), words());
    let count = if full { 1_000_000 } else { 20_000 };
    let mut read = 0;
    for number in 0..count {
        let text = match random.u8(0..40) {
            0 => deep(&mut random),
            1..20 => soup(&mut random, &words),
            _ => mutated(&mut random),
        };
        let judged = catch_unwind(|| judge(&text));
        let is_read = judged.unwrap_or_else(|_| panic!("MESSAGEKIT_SEED={seed}, text {number}: {text:?}"));
        read += u32::from(is_read);
    }
    println!("{count} texts, {read} of them statements");
    assert!(read > count / 20 && read < count / 2, "{read} of {count} are statements");
}

#[test]
fn every_prefix_of_a_statement_is_judged_without_a_panic() {
    for statement in STATEMENTS {
        let prefixes = statement.char_indices().map(|(end, _)| &statement[..end]);
        for prefix in prefixes {
            judge(prefix);
        }
        assert!(parse_script(statement).is_ok(), "{statement}");
    }
}
