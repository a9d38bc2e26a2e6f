//! What is no statement of a consumer, and no query of a view.

use crate::errors::{Case, assert_refused};

const CONSUMERS: &[Case] = &[
    (
        "CONSUME FROM t GROUP shipping",
        1,
        22,
        "expected the name of a group in single quotes, found `shipping`; write it in single quotes",
    ),
    (
        "CONSUME FROM t GROUP ''",
        1,
        22,
        "expected the name of a group in single quotes, found `''`; it is not empty, and has no control characters",
    ),
    (
        "CONSUME FROM t FROM -1",
        1,
        21,
        "expected LATEST, EARLIEST or an offset from 0 to 9223372036854775807, found `-`",
    ),
    ("CONSUME FROM t LIMIT 4294967296", 1, 22, "expected a number from 0 to 4294967295, found `4294967296`"),
    ("CONSUME FROM t LIMIT 5 GROUP 'g' LIMIT 5", 1, 34, "expected LIMIT once, found a second one"),
    ("ACK t UPTO OFFSET 5", 1, 7, "expected GROUP or PARTITION, found `UPTO`"),
    ("ACK t GROUP 'g' OFFSET 5", 1, 17, "expected PARTITION or UPTO, found `OFFSET`"),
    (
        "ACK t GROUP 'g' PARTITION 2147483648 UPTO OFFSET 5",
        1,
        27,
        "expected a partition from 0 to 2147483647, found `2147483648`",
    ),
    (
        "DROP CONSUMER GROUP g ON t",
        1,
        21,
        "expected the name of a group in single quotes, found `g`; write it in single quotes",
    ),
    (
        "RESET CONSUMER GROUP 'g' ON t TO 'now'",
        1,
        34,
        "expected LATEST, EARLIEST or an offset from 0 to 9223372036854775807, found `'now'`",
    ),
];

const QUERIES: &[Case] = &[
    ("SHOW TABLES", 1, 6, "expected TOPICS or ROUTES, found `TABLES`"),
    (
        "SELECT 1",
        1,
        8,
        "expected `*` or a column, found `1`; only system.topics, system.topic_offsets and system.routes can be read, by their columns",
    ),
    (
        "SELECT count(*) FROM system.topics",
        1,
        13,
        "expected `,` or FROM, found `(`; only system.topics, system.topic_offsets and system.routes can be read, by their columns",
    ),
    (
        "SELECT * FROM public.orders",
        1,
        15,
        "expected system.topics, system.topic_offsets or system.routes, found `public.orders`; nothing else can be read here",
    ),
    (
        "SELECT name, nam FROM system.topic_offsets",
        1,
        8,
        "expected a column of system.topic_offsets, found `name`; its columns are topic_id, group_id, partition_id, \
             last_acked_offset, next_offset, lag",
    ),
    (
        "SELECT * FROM system.topics, system.routes",
        1,
        28,
        "expected WHERE, ORDER, LIMIT or the end of the statement, found `,`",
    ),
    (
        "SELECT * FROM system.topics WHERE name = NULL",
        1,
        42,
        "expected a string, a whole number, TRUE or FALSE, found `NULL`; write IS NULL or IS NOT NULL",
    ),
    (
        "SELECT * FROM system.topics WHERE name LIKE 'a'",
        1,
        40,
        "expected IS, `=`, `<>`, `<`, `<=`, `>` or `>=`, found `LIKE`",
    ),
    (
        "SELECT * FROM system.topics WHERE name = 'a' OR name = 'b'",
        1,
        46,
        "expected AND, found `OR`; conditions are joined by AND alone",
    ),
];

#[test]
fn a_consumer_reads_and_moves_by_its_clauses_alone() {
    assert_refused(CONSUMERS);
}

#[test]
fn a_query_reads_the_columns_of_one_view_alone() {
    assert_refused(QUERIES);
}
