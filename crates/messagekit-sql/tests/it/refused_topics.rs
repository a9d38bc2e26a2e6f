//! What is no statement about topics or sources.

use crate::errors::{Case, assert_refused};

const TOPICS: &[Case] = &[
    (
        "CREATE TRIGGER x ON TOPIC t",
        1,
        8,
        "expected TOPIC, found `TRIGGER`; code that runs for each record is a consumer here",
    ),
    (
        "CREATE NAMESPACE shop",
        1,
        8,
        "expected TOPIC, found `NAMESPACE`; the name of a topic begins with its namespace, which needs no statement",
    ),
    ("CREATE TOPIC", 1, 13, "expected the name of a topic, found the end of the statement"),
    (
        "CREATE TOPIC 'shop.orders'",
        1,
        14,
        "expected the name of a topic, found `'shop.orders'`; a name stands bare, or in double quotes",
    ),
    (
        "CREATE TOPIC shop.order-lines",
        1,
        24,
        "expected the end of the name, found `-`; a name that is more than letters, digits, dots and `_` stands in double quotes",
    ),
    (
        "CREATE TOPIC shop.1",
        1,
        19,
        "expected the name of a topic, found `1`; a name with a part that begins with a digit stands in double quotes",
    ),
    (
        "CREATE TOPIC grün",
        1,
        14,
        "expected a topic of 1 to 249 characters of a-z A-Z 0-9 . _ -, like shop.orders, found `grün`",
    ),
    (
        "CREATE TOPIC \"a b\".c",
        1,
        14,
        "expected a topic of 1 to 249 characters of a-z A-Z 0-9 . _ -, like shop.orders, found `\"a b\".c`",
    ),
    ("CREATE TOPIC t PARTITIONS 0", 1, 27, "expected a number from 1 to 4294967295, found `0`"),
    (
        "CREATE TOPIC t PARTITIONS 4294967296",
        1,
        27,
        "expected a number from 1 to 4294967295, found `4294967296`",
    ),
    ("CREATE TOPIC t PARTITIONS 1.5", 1, 27, "expected a number from 1 to 4294967295, found `1.5`"),
    ("CREATE TOPIC t PARTITIONS 1 PARTITIONS 2", 1, 29, "expected PARTITIONS once, found a second one"),
    (
        "CREATE TOPIC t OPTIONS",
        1,
        16,
        "expected PARTITIONS, WITH or the end of the statement, found `OPTIONS`",
    ),
    (
        "CREATE TOPIC t WITH (retention = 1)",
        1,
        22,
        "expected retention_seconds, retention_max_bytes, retention_consumed, retention_unhandled_seconds, key, dedup or published, found `retention`",
    ),
    (
        "CREATE TOPIC t WITH (\n\tretention_seconds = 1,\n\tretention_seconds = 2)",
        3,
        2,
        "expected retention_seconds once, found a second one",
    ),
    (
        "CREATE TOPIC t WITH (retention_seconds = 0)",
        1,
        42,
        "expected NULL or a number from 1 to 9223372036854, found `0`; NULL sets no limit",
    ),
    (
        "CREATE TOPIC t WITH (retention_seconds = 9223372036855)",
        1,
        42,
        "expected NULL or a number from 1 to 9223372036854, found `9223372036855`",
    ),
    ("CREATE TOPIC t WITH (retention_consumed = 'yes')", 1, 43, "expected TRUE or FALSE, found `'yes'`"),
    ("CREATE TOPIC t WITH (dedup = ('a', 'a'))", 1, 36, "expected each field once, found a second `'a'`"),
    (
        "CREATE TOPIC t WITH ()",
        1,
        22,
        "expected retention_seconds, retention_max_bytes, retention_consumed, retention_unhandled_seconds, key, dedup or published, found `)`",
    ),
    ("CREATE TOPIC t WITH (published = true", 1, 38, "expected `,` or `)`, found the end of the statement"),
    ("ALTER TOPIC t SET RETENTION", 1, 28, "expected WITH, found the end of the statement"),
    ("ALTER TOPIC t RENAME TO u", 1, 15, "expected ADD, DROP, SET or CLEAR, found `RENAME`"),
];

const SOURCES: &[Case] = &[
    ("ALTER TOPIC t ADD SOURCE o", 1, 27, "expected ON, found the end of the statement"),
    (
        "ALTER TOPIC t ADD SOURCE o ON INSERT, INSERT",
        1,
        39,
        "expected each kind of change once, found a second `INSERT`",
    ),
    ("ALTER TOPIC t ADD SOURCE o ON TRUNCATE", 1, 31, "expected INSERT, UPDATE or DELETE, found `TRUNCATE`"),
    (
        "ALTER TOPIC t ADD SOURCE a.b.c ON INSERT",
        1,
        26,
        "expected a table, or a schema and a table, found 3 names",
    ),
    (
        "ALTER TOPIC t ADD SOURCE o ON INSERT WITH (payload = 'all')",
        1,
        54,
        "expected 'key', 'full' or 'diff', found `'all'`",
    ),
    (
        "ALTER TOPIC t ADD SOURCE o ON INSERT WITH (name = 'x')",
        1,
        44,
        "expected payload or on_failure, found `name`; a source has no name of its own: it is known by its topic and its table",
    ),
    (
        "ALTER TOPIC t DROP SOURCE o ON INSERT",
        1,
        29,
        "expected the end of the statement, found `ON`; a source is dropped as a whole: ADD OR REPLACE SOURCE gives it the changes that are to stay",
    ),
];

#[test]
fn a_topic_is_made_and_changed_by_its_clauses_alone() {
    assert_refused(TOPICS);
}

#[test]
fn a_source_is_added_and_dropped_by_its_clauses_alone() {
    assert_refused(SOURCES);
}
