//! Commands of any content are printed, and read again as the same.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use messagekit::log::{Changes, OnSourceFailure, RowPayload};
use messagekit_sql::{
    Acknowledge, Columns, Command, Comparison, Condition, Consume, CreateTopic, DropSource, DropTopic,
    Literal, NewSource, Order, ResetGroup, RetentionLimit, RetentionOptions, Select, Start, parse,
    parse_script,
};
use messagekit_topic_store::{OnSources, TopicView};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn topics() -> impl Strategy<Value = Arc<str>> {
    let topic =
        prop_oneof!["[a-zA-Z_][a-zA-Z0-9_]{0,8}(\\.[a-z_][a-z0-9]{0,4}){0,3}", "[a-zA-Z0-9._-]{3,40}"];
    topic.prop_filter("two names of folders are none of topics", |name| name != "..").prop_map(Into::into)
}

fn tables() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-zA-Z_ä][a-zA-Z0-9_$ü]{0,8}", "\"(\"\"|[^\"\\pC]){1,8}\""];
    vec(name, 1..=2).prop_map(|parts| parts.join("."))
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.-]{1,12}", "[^\\pC]{1,12}", "['; \"*/-]{1,6}"]
}

fn expressions() -> impl Strategy<Value = String> {
    let column = || prop_oneof!["[a-d]", "(NEW|OLD)\\.[a-d]", "\"[a-z ;()]{1,5}\""];
    let value =
        prop_oneof!["[0-9]{1,5}", "'([^'\\\\\\pC]|''){0,8}'", "NULL", "lower\\('x\\)', 'WITH \\('\\)"];
    let operator = select(vec!["=", "<>", ">=", "IS NOT", "||", "->>", " + -"]);
    let atom =
        (column(), operator, value).prop_map(|(left, operator, right)| format!("{left} {operator} {right}"));
    atom.prop_recursive(4, 12, 2, move |inner| {
        prop_oneof![
            (inner.clone(), select(vec!["AND", "OR", "\n  AND\t"]), inner.clone())
                .prop_map(|(left, word, right)| format!("{left} {word} {right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.prop_map(|inner| format!("CASE WHEN {inner} THEN 1 ELSE (2) END = 1")),
        ]
    })
    // Chains of some operators are no expressions.
    .prop_filter("it is one expression", |text| {
        parse(&format!("ALTER TOPIC t ADD SOURCE o ON INSERT WHERE {text}")).is_ok()
    })
}

fn retention() -> impl Strategy<Value = RetentionOptions> {
    let limit = |most: u64| {
        option::of(prop_oneof![
            Just(RetentionLimit::Unlimited),
            (1..=most)
                .prop_filter_map("it is not 0", |number| NonZeroU64::new(number).map(RetentionLimit::At)),
        ])
    };
    let seconds = || limit(i64::MAX as u64 / 1_000_000);
    (seconds(), limit(i64::MAX as u64), any::<Option<bool>>(), seconds()).prop_map(
        |(seconds, max_bytes, consumed, unhandled_seconds)| RetentionOptions {
            seconds,
            max_bytes,
            consumed,
            unhandled_seconds,
        },
    )
}

fn starts() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Earliest), Just(Start::Latest), (0..=i64::MAX).prop_map(Start::Offset)]
}

fn partitions() -> impl Strategy<Value = Option<i32>> {
    option::of(0..=i32::MAX)
}

fn topic_commands() -> impl Strategy<Value = Command> {
    let dedup = vec(strings(), 0..4).prop_map(|mut fields| {
        fields.sort();
        fields.dedup();
        fields
    });
    let create = (
        topics(),
        any::<bool>(),
        any::<Option<NonZeroU32>>(),
        retention(),
        option::of(strings()),
        dedup,
        any::<bool>(),
    )
        .prop_map(|(topic, if_not_exists, partitions, retention, key, dedup, is_published)| {
            Command::CreateTopic(CreateTopic {
                topic,
                if_not_exists,
                partitions,
                retention,
                key,
                dedup,
                is_published,
            })
        });
    let dropped = (topics(), any::<bool>(), select(vec![OnSources::Refuse, OnSources::Drop])).prop_map(
        |(topic, if_exists, on_sources)| Command::DropTopic(DropTopic { topic, if_exists, on_sources }),
    );
    let is_said = |retention: &RetentionOptions| *retention != RetentionOptions::default();
    let set = (topics(), retention().prop_filter("an option is said", is_said))
        .prop_map(|(topic, retention)| Command::SetRetention { topic, retention });
    prop_oneof![
        create,
        dropped,
        set,
        topics().prop_map(|topic| Command::ClearTopic { topic }),
        topics().prop_map(|topic| Command::ClearRetention { topic }),
        option::of(topics()).prop_map(|topic| Command::ShowRoutes { topic }),
        Just(Command::ShowTopics),
    ]
}

fn source_commands() -> impl Strategy<Value = Command> {
    let changes = any::<(bool, bool, bool)>()
        .prop_map(|(insert, update, delete)| Changes { insert, update, delete })
        .prop_filter("there is a change", |changes| *changes != Changes::default());
    let source = (
        (topics(), tables(), changes, any::<bool>()),
        (option::of(expressions()), option::of(expressions())),
        (select(RowPayload::ALL.to_vec()), select(OnSourceFailure::ALL.to_vec())),
    );
    let source = source.prop_map(|((topic, table, changes, replaces), (filter, key), rules)| {
        let (payload, on_failure) = rules;
        let source = NewSource {
            topic,
            table,
            changes,
            filter,
            key,
            payload,
            on_failure,
            replicated: false,
            replaces,
        };
        Command::AddSource(source)
    });
    let dropped =
        (topics(), tables()).prop_map(|(topic, table)| Command::DropSource(DropSource { topic, table }));
    prop_oneof![3 => source, 1 => dropped]
}

fn consumer_commands() -> impl Strategy<Value = Command> {
    let consume = (topics(), partitions(), option::of(strings()), option::of(starts()), any::<Option<u32>>())
        .prop_map(|(topic, partition_id, group_id, start, limit)| {
            Command::Consume(Consume { partition_id, group_id, start, limit, ..Consume::of(&*topic) })
        });
    let ack =
        (topics(), strings(), partitions(), 0..=i64::MAX).prop_map(|(topic, group, partition, up_to)| {
            Command::Acknowledge(Acknowledge { topic, group, partition, up_to })
        });
    let reset = (strings(), topics(), partitions(), starts()).prop_map(|(group, topic, partition, to)| {
        Command::ResetGroup(ResetGroup { group, topic, partition, to })
    });
    prop_oneof![consume, ack, reset]
}

fn queries() -> impl Strategy<Value = Command> {
    select(TopicView::ALL.to_vec()).prop_flat_map(|view| {
        let column = || select(view.columns().iter().map(|column| column.name).collect::<Vec<_>>());
        let value = prop_oneof![
            any::<String>().prop_map(Literal::Text),
            any::<i64>().prop_map(Literal::Integer),
            any::<bool>().prop_map(Literal::Boolean),
        ];
        let condition = prop_oneof![
            (column(), select(Comparison::ALL.to_vec()), value)
                .prop_map(|(column, comparison, value)| Condition::Compare { column, comparison, value }),
            column().prop_map(|column| Condition::IsNull { column }),
            column().prop_map(|column| Condition::IsNotNull { column }),
        ];
        let columns = prop_oneof![Just(Columns::All), vec(column(), 1..5).prop_map(Columns::Named)];
        let order =
            (column(), any::<bool>()).prop_map(|(column, is_descending)| Order { column, is_descending });
        (columns, vec(condition, 0..4), vec(order, 0..3), any::<Option<u32>>()).prop_map(
            move |(columns, conditions, order, limit)| {
                Command::Select(Select { view, columns, conditions, order, limit })
            },
        )
    })
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![topic_commands(), source_commands(), consumer_commands(), queries()]
}

fn config() -> ProptestConfig {
    let full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|full| full == "1");
    ProptestConfig {
        cases: if full { 50_000 } else { 1_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_command_is_printed_and_read_again_as_the_same(command in commands()) {
        let text = command.to_string();
        let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}\n{error}")))?;
        prop_assert_eq!(&again, &command, "{}", text);
    }

    #[test]
    fn commands_stay_apart_in_a_script(commands in vec(commands(), 0..6)) {
        let text: String = commands.iter().map(|command| format!("{command};\n")).collect();
        let again = parse_script(&text).map_err(|error| TestCaseError::fail(format!("{text}\n{error}")))?;
        prop_assert_eq!(again, commands, "{}", text);
    }
}
