//! Every statement, as it may be written and as it is printed.

use messagekit::log::{Changes, OnSourceFailure, RowPayload};
use messagekit_sql::{
    Acknowledge, Columns, Command, Comparison, Condition, Consume, CreateTopic, DropSource, DropTopic,
    Literal, NewSource, Order, ResetGroup, RetentionLimit, RetentionOptions, Select, Start, parse,
};
use messagekit_topic_store::{OnSources, TopicView};

/// Parses a statement, which prints as the canonical one, which parses to the same.
fn assert_prints(text: &str, canonical: &str) -> Command {
    let command = parse(text).unwrap_or_else(|error| panic!("{text}: {error}\n{}", error.snippet()));
    assert_eq!(command.to_string(), canonical, "{text}");
    assert_eq!(canonical.parse(), Ok(command.clone()), "{canonical}");
    command
}

#[test]
fn every_statement_is_printed_in_canonical_form() {
    for (text, canonical) in [
        ("create topic shop.orders;", "CREATE TOPIC shop.orders"),
        ("CREATE TOPIC IF NOT EXISTS orders PARTITIONS 4", "CREATE TOPIC IF NOT EXISTS orders PARTITIONS 4"),
        (
            "CREATE TOPIC a.b WITH (Retention_Max_Bytes=NULL, retention_seconds = 60) PARTITIONS 1 ;",
            "CREATE TOPIC a.b PARTITIONS 1 WITH (retention_seconds = 60, retention_max_bytes = NULL)",
        ),
        (
            "CREATE TOPIC a.b WITH (retention_consumed = False, published = true, dedup = ('url', 'it''s'), key = 'url')",
            "CREATE TOPIC a.b WITH (retention_consumed = false, key = 'url', dedup = ('url', 'it''s'), published = true)",
        ),
        ("CREATE TOPIC a WITH (dedup = ('url'), published = false)", "CREATE TOPIC a WITH (dedup = 'url')"),
        ("drop topic shop . orders", "DROP TOPIC shop.orders"),
        (
            "DROP TOPIC IF EXISTS \"shop-eu\".orders CASCADE",
            "DROP TOPIC IF EXISTS \"shop-eu.orders\" CASCADE",
        ),
        ("Clear Topic shop.orders", "CLEAR TOPIC shop.orders"),
        (
            "ALTER TOPIC t SET RETENTION WITH (retention_consumed = TRUE)",
            "ALTER TOPIC t SET RETENTION WITH (retention_consumed = true)",
        ),
        ("ALTER TOPIC t CLEAR RETENTION", "ALTER TOPIC t CLEAR RETENTION"),
        ("ALTER TOPIC t ADD SOURCE orders ON INSERT", "ALTER TOPIC t ADD SOURCE orders ON INSERT"),
        (
            "ALTER TOPIC t ADD OR REPLACE SOURCE \"My\".Orders ON delete, insert WITH (payload = 'diff') \
             PARTITION BY ( lower(NEW.\"Name\") ) WHERE total > 1 AND name = ';--'",
            "ALTER TOPIC t ADD OR REPLACE SOURCE \"My\".Orders ON INSERT, DELETE WHERE total > 1 AND name = ';--' \
             PARTITION BY (lower(NEW.\"Name\")) WITH (payload = 'diff')",
        ),
        (
            "ALTER TOPIC t ADD SOURCE o ON UPDATE WITH (on_failure = 'set-aside', payload = 'full')",
            "ALTER TOPIC t ADD SOURCE o ON UPDATE WITH (on_failure = 'set-aside')",
        ),
        ("ALTER TOPIC t DROP SOURCE public.orders", "ALTER TOPIC t DROP SOURCE public.orders"),
        ("CONSUME FROM t", "CONSUME FROM t"),
        (
            "consume from t limit 10 from earliest group 'a b' partition 0",
            "CONSUME FROM t PARTITION 0 GROUP 'a b' FROM EARLIEST LIMIT 10",
        ),
        ("CONSUME FROM t FROM 7 LIMIT 0", "CONSUME FROM t FROM 7 LIMIT 0"),
        ("CONSUME FROM t FROM LATEST", "CONSUME FROM t FROM LATEST"),
        ("ACK t PARTITION 3 GROUP 'g' UPTO OFFSET 9", "ACK t GROUP 'g' PARTITION 3 UPTO OFFSET 9"),
        ("drop consumer group 'g' on t", "DROP CONSUMER GROUP 'g' ON t"),
        ("DROP CONSUMER GROUP IF EXISTS 'g' ON t", "DROP CONSUMER GROUP IF EXISTS 'g' ON t"),
        ("RESET CONSUMER GROUP 'g' ON t TO LATEST", "RESET CONSUMER GROUP 'g' ON t TO LATEST"),
        ("RESET CONSUMER GROUP 'g' ON t PARTITION 1 TO 0", "RESET CONSUMER GROUP 'g' ON t PARTITION 1 TO 0"),
        ("SHOW TOPICS", "SHOW TOPICS"),
        ("show routes", "SHOW ROUTES"),
        ("SHOW ROUTES FOR t", "SHOW ROUTES FOR t"),
        ("SELECT * FROM system.topics", "SELECT * FROM system.topics"),
        (
            "select GROUP_ID, \"lag\" from System.Topic_Offsets where topic_id = 'it''s' and lag != -1 \
             and next_offset is not null and last_acked_offset is null order by lag desc, group_id asc limit 5",
            "SELECT group_id, lag FROM system.topic_offsets WHERE topic_id = 'it''s' AND lag <> -1 \
             AND next_offset IS NOT NULL AND last_acked_offset IS NULL ORDER BY lag DESC, group_id LIMIT 5",
        ),
    ] {
        assert_prints(text, canonical);
    }
}

#[test]
fn what_is_left_out_is_not_null() {
    let retention = |text: &str| match parse(text) {
        Ok(Command::CreateTopic(CreateTopic { retention, .. })) => retention,
        other => panic!("{other:?}"),
    };
    assert_eq!(retention("CREATE TOPIC t"), RetentionOptions::default());
    let null = retention("CREATE TOPIC t WITH (retention_seconds = NULL)");
    assert_eq!(
        null,
        RetentionOptions { seconds: Some(RetentionLimit::Unlimited), ..RetentionOptions::default() }
    );
}

#[test]
fn every_part_of_a_topic_statement_is_read() {
    let create = parse("CREATE TOPIC s.t PARTITIONS 2 WITH (retention_seconds = 5, key = 'k', dedup = 'd')");
    assert_eq!(
        create,
        Ok(Command::CreateTopic(CreateTopic {
            topic: "s.t".into(),
            if_not_exists: false,
            partitions: 2.try_into().ok(),
            retention: RetentionOptions {
                seconds: Some(RetentionLimit::At(5.try_into().unwrap())),
                ..RetentionOptions::default()
            },
            key: Some("k".to_owned()),
            dedup: vec!["d".to_owned()],
            is_published: false,
        }))
    );
    let dropped = DropTopic { topic: "t".into(), if_exists: true, on_sources: OnSources::Drop };
    assert_eq!(parse("DROP TOPIC IF EXISTS t CASCADE"), Ok(Command::DropTopic(dropped)));
    assert_eq!(parse("CLEAR TOPIC t"), Ok(Command::ClearTopic { topic: "t".into() }));
}

#[test]
fn every_part_of_a_source_is_read() {
    let text = "ALTER TOPIC t ADD OR REPLACE SOURCE s.o ON INSERT, UPDATE WHERE a > 1 PARTITION BY (b) \
                WITH (payload = 'key', on_failure = 'set-aside')";
    assert_eq!(
        parse(text),
        Ok(Command::AddSource(NewSource {
            changes: Changes { insert: true, update: true, delete: false },
            filter: Some("a > 1".to_owned()),
            key: Some("b".to_owned()),
            payload: RowPayload::Key,
            on_failure: OnSourceFailure::SetAside,
            replaces: true,
            ..NewSource::of("t", "s.o")
        }))
    );
    let dropped = DropSource { topic: "t".into(), table: "\"O\"".to_owned() };
    assert_eq!(parse("ALTER TOPIC t DROP SOURCE \"O\""), Ok(Command::DropSource(dropped)));
}

#[test]
fn every_part_of_a_consumer_statement_is_read() {
    let consume = Consume {
        partition_id: Some(1),
        group_id: Some("g".to_owned()),
        start: Some(Start::Offset(i64::MAX)),
        limit: Some(u32::MAX),
        ..Consume::of("t")
    };
    let text = "CONSUME FROM t PARTITION 1 GROUP 'g' FROM 9223372036854775807 LIMIT 4294967295";
    assert_eq!(parse(text), Ok(Command::Consume(consume)));
    let ack = Acknowledge { topic: "t".into(), group: "g".to_owned(), partition: None, up_to: 9 };
    assert_eq!(parse("ACK t GROUP 'g' UPTO OFFSET 9"), Ok(Command::Acknowledge(ack)));
    let reset =
        ResetGroup { group: "g".to_owned(), topic: "t".into(), partition: Some(2), to: Start::Earliest };
    let text = "RESET CONSUMER GROUP 'g' ON t PARTITION 2 TO EARLIEST";
    assert_eq!(parse(text), Ok(Command::ResetGroup(reset)));
}

#[test]
fn every_part_of_a_query_is_read() {
    let text = "SELECT name FROM system.topics WHERE name >= 'a' AND retention_consumed = TRUE AND topic_id <> 3 ORDER BY name LIMIT 1";
    let compare = |column, comparison, value| Condition::Compare { column, comparison, value };
    let select = Select {
        view: TopicView::Topics,
        columns: Columns::Named(vec!["name"]),
        conditions: vec![
            compare("name", Comparison::GreaterOrEqual, Literal::Text("a".to_owned())),
            compare("retention_consumed", Comparison::Equal, Literal::Boolean(true)),
            compare("topic_id", Comparison::NotEqual, Literal::Integer(3)),
        ],
        order: vec![Order { column: "name", is_descending: false }],
        limit: Some(1),
    };
    assert_eq!(parse(text), Ok(Command::Select(select)));
}

#[test]
fn no_word_is_reserved_and_names_keep_their_case() {
    for topic in
        ["group", "if", "from", "Topic", "WITH", "select.from", "_a.B1", "\"1a\"", "\"a-b\"", "\"a..b\""]
    {
        for text in ["CREATE TOPIC @", "DROP TOPIC @", "CONSUME FROM @ FROM LATEST", "SHOW ROUTES FOR @"] {
            let text = text.replace('@', topic);
            let command = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(command.to_string().contains(topic), "{text}: {command}");
        }
    }
    assert_prints("CREATE TOPIC IF NOT EXISTS if", "CREATE TOPIC IF NOT EXISTS if");
    assert_prints("ACK \"group\" GROUP 'GROUP' UPTO OFFSET 1", "ACK group GROUP 'GROUP' UPTO OFFSET 1");
}

#[test]
fn comments_and_blanks_are_passed_over() {
    let text = "\u{feff}-- a; comment\r\n/* one /* in */ another; ' */ SHOW\u{a0}/**/TOPICS -- at the end";
    assert_eq!(parse(text), Ok(Command::ShowTopics));
}
