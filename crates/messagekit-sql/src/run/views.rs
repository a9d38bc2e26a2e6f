//! What statements show of topics, groups and sources.

use std::cmp::Ordering;

use messagekit::log::KnownSource;
use messagekit_topic_store::{TopicView, ViewType};
use messagekit_topics::Error;
use messagekit_topics::operations::TopicOperations;
use serde_json::{Value, json};

use super::answer::{Answer, ColumnType};
use crate::{Columns, Comparison, Condition, Literal, Select};

const ROUTES: [(&str, ColumnType); 8] = [
    ("topic_id", ColumnType::Text),
    ("table_id", ColumnType::Text),
    ("op", ColumnType::Text),
    ("payload_mode", ColumnType::Text),
    ("filter_expr", ColumnType::Text),
    ("partition_key_expr", ColumnType::Text),
    ("on_failure", ColumnType::Text),
    ("fault", ColumnType::Text),
];

/// A row for each source, with what is wrong with it.
pub(super) async fn show_routes(topics: &dyn TopicOperations, topic: Option<&str>) -> Result<Answer, Error> {
    let wanted = |source: &KnownSource| topic.is_none_or(|topic| source.topic == topic);
    let rows = topics.sources().await?.into_iter().filter(wanted).map(|source| {
        vec![
            json!(source.topic),
            json!(source.table),
            json!(source.changes.names().collect::<Vec<_>>().join(", ")),
            json!(source.payload.as_str()),
            json!(source.filter),
            json!(source.key),
            json!(source.on_failure.as_str()),
            json!(source.fault.map(|fault| fault.to_string())),
        ]
    });
    Ok(Answer::of(&ROUTES, rows.collect()))
}

/// Reads a view whole: a database has few topics, groups and sources. What a query asks of it is done here, alike for every database.
pub(super) async fn select(topics: &dyn TopicOperations, select: &Select) -> Result<Answer, Error> {
    let known = select.view.columns();
    let index = |name: &str| known.iter().position(|column| column.name == name).unwrap_or_default();
    let mut rows = topics.view_rows(select.view).await?;
    rows.retain(|row| select.conditions.iter().all(|condition| holds(condition, |name| &row[index(name)])));
    rows.sort_by(|one, other| {
        let orders = select.order.iter().map(|order| {
            let order_of = compare(&one[index(order.column)], &other[index(order.column)]);
            if order.is_descending { order_of.reverse() } else { order_of }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    rows.truncate(select.limit.map_or(usize::MAX, |limit| limit as usize));
    let wanted: Vec<usize> = match &select.columns {
        Columns::All => (0..known.len()).collect(),
        Columns::Named(names) => names.iter().map(|name| index(name)).collect(),
    };
    let schema: Vec<(&'static str, ColumnType)> =
        wanted.iter().map(|index| (known[*index].name, type_of(known[*index].kind))).collect();
    let rows = rows.into_iter().map(|row| wanted.iter().map(|index| row[*index].clone()).collect());
    Ok(Answer::of(&schema, rows.collect()))
}

/// A view has a row for each topic.
pub(super) async fn show_topics(topics: &dyn TopicOperations) -> Result<Answer, Error> {
    let all = Select {
        view: TopicView::Topics,
        columns: Columns::All,
        conditions: Vec::new(),
        order: Vec::new(),
        limit: None,
    };
    select(topics, &all).await
}

fn type_of(kind: ViewType) -> ColumnType {
    match kind {
        ViewType::Text => ColumnType::Text,
        ViewType::Integer => ColumnType::BigInt,
        ViewType::Boolean => ColumnType::Boolean,
        ViewType::Json => ColumnType::Json,
        ViewType::Timestamp => ColumnType::Timestamp,
    }
}

/// Returns whether a condition is true of a row. Nothing is true of a null but that it is one.
fn holds<'a>(condition: &Condition, value: impl Fn(&str) -> &'a Value) -> bool {
    match condition {
        Condition::IsNull { column } => value(column).is_null(),
        Condition::IsNotNull { column } => !value(column).is_null(),
        Condition::Compare { column, comparison, value: literal } => {
            let (value, literal) = (value(column), of_literal(literal));
            let is_comparable = std::mem::discriminant(value) == std::mem::discriminant(&literal);
            is_comparable && is_so(*comparison, compare(value, &literal))
        }
    }
}

fn of_literal(literal: &Literal) -> Value {
    match literal {
        Literal::Text(text) => json!(text),
        Literal::Integer(number) => json!(number),
        Literal::Boolean(is) => json!(is),
    }
}

fn is_so(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// The order of the values of a column, nulls last.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(one), Value::Number(other)) => one.as_i64().cmp(&other.as_i64()),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        _ => one.to_string().cmp(&other.to_string()),
    }
}
