//! Writes commands as statements, in canonical form.

use std::fmt::{self, Display, Formatter};

use messagekit::log::{Changes, OnSourceFailure, RowPayload};
use messagekit_topic_store::OnSources;
use messagekit_topics::operations::NewSource;
use messagekit_wire::{Consume, Start};

use crate::command::{
    Acknowledge, Command, CreateTopic, DropGroup, DropSource, DropTopic, ResetGroup, RetentionLimit,
    RetentionOptions,
};
use crate::query::{Columns, Condition, Literal, Select};

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic(create) => create_topic(f, create),
            Self::DropTopic(DropTopic { topic, if_exists, on_sources }) => {
                let cascade = if *on_sources == OnSources::Drop { " CASCADE" } else { "" };
                write!(f, "DROP TOPIC {}{}{cascade}", if *if_exists { "IF EXISTS " } else { "" }, Name(topic))
            }
            Self::ClearTopic { topic } => write!(f, "CLEAR TOPIC {}", Name(topic)),
            Self::SetRetention { topic, retention } => {
                write!(f, "ALTER TOPIC {} SET RETENTION", Name(topic))?;
                options(f, &retention_options(retention))
            }
            Self::ClearRetention { topic } => write!(f, "ALTER TOPIC {} CLEAR RETENTION", Name(topic)),
            Self::AddSource(source) => add_source(f, source),
            Self::DropSource(DropSource { topic, table }) => {
                write!(f, "ALTER TOPIC {} DROP SOURCE {table}", Name(topic))
            }
            Self::Consume(statement) => consume(f, statement),
            Self::Acknowledge(Acknowledge { topic, group, partition, up_to }) => {
                write!(f, "ACK {} GROUP {}", Name(topic), Text(group))?;
                clause(f, "PARTITION", *partition)?;
                write!(f, " UPTO OFFSET {up_to}")
            }
            Self::ResetGroup(ResetGroup { group, topic, partition, to }) => {
                write!(f, "RESET CONSUMER GROUP {} ON {}", Text(group), Name(topic))?;
                clause(f, "PARTITION", *partition)?;
                clause(f, "TO", Some(Beginning(*to)))
            }
            Self::DropGroup(DropGroup { group, topic, if_exists }) => {
                let if_exists = if *if_exists { "IF EXISTS " } else { "" };
                write!(f, "DROP CONSUMER GROUP {if_exists}{} ON {}", Text(group), Name(topic))
            }
            Self::ShowTopics => f.write_str("SHOW TOPICS"),
            Self::ShowRoutes { topic } => {
                f.write_str("SHOW ROUTES")?;
                clause(f, "FOR", topic.as_deref().map(Name))
            }
            Self::Select(statement) => select(f, statement),
        }
    }
}

/// The name of a topic: bare if it can be.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_bare = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if self.0.split('.').all(is_bare) {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A string.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

struct Beginning(Start);

impl Display for Beginning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Start::Earliest => f.write_str("EARLIEST"),
            Start::Latest => f.write_str("LATEST"),
            Start::Offset(offset) => write!(f, "{offset}"),
        }
    }
}

fn clause(f: &mut Formatter<'_>, keyword: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {keyword} {value}"))
}

/// Writes options, if there are any.
fn options(f: &mut Formatter<'_>, options: &[(&str, String)]) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    let options: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    write!(f, " WITH ({})", options.join(", "))
}

fn retention_options(retention: &RetentionOptions) -> Vec<(&'static str, String)> {
    let limit = |limit: RetentionLimit| match limit {
        RetentionLimit::Unlimited => "NULL".to_owned(),
        RetentionLimit::At(number) => number.to_string(),
    };
    let values = [
        retention.seconds.map(limit),
        retention.max_bytes.map(limit),
        retention.consumed.map(|is_on| is_on.to_string()),
        retention.unhandled_seconds.map(limit),
    ];
    RetentionOptions::NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
}

fn create_topic(f: &mut Formatter<'_>, create: &CreateTopic) -> fmt::Result {
    let condition = if create.if_not_exists { "IF NOT EXISTS " } else { "" };
    write!(f, "CREATE TOPIC {condition}{}", Name(&create.topic))?;
    clause(f, "PARTITIONS", create.partitions)?;
    let mut said = retention_options(&create.retention);
    said.extend(create.key.iter().map(|key| ("key", Text(key).to_string())));
    let fields: Vec<String> = create.dedup.iter().map(|field| Text(field).to_string()).collect();
    match fields.as_slice() {
        [] => {}
        [one] => said.push(("dedup", one.clone())),
        several => said.push(("dedup", format!("({})", several.join(", ")))),
    }
    if create.is_published {
        said.push(("published", "true".to_owned()));
    }
    options(f, &said)
}

fn add_source(f: &mut Formatter<'_>, source: &NewSource) -> fmt::Result {
    let add = if source.replaces { "ADD OR REPLACE" } else { "ADD" };
    let Changes { insert, update, delete } = source.changes;
    let kinds = [(insert, "INSERT"), (update, "UPDATE"), (delete, "DELETE")];
    let kinds: Vec<&str> = kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect();
    let (topic, table) = (Name(&source.topic), &source.table);
    write!(f, "ALTER TOPIC {topic} {add} SOURCE {table} ON {}", kinds.join(", "))?;
    clause(f, "WHERE", source.filter.as_ref())?;
    clause(f, "PARTITION BY", source.key.as_ref().map(|expression| format!("({expression})")))?;
    let mut said = Vec::new();
    if source.payload != RowPayload::default() {
        said.push(("payload", Text(source.payload.as_str()).to_string()));
    }
    if source.on_failure != OnSourceFailure::default() {
        said.push(("on_failure", Text(source.on_failure.as_str()).to_string()));
    }
    options(f, &said)
}

fn consume(f: &mut Formatter<'_>, consume: &Consume) -> fmt::Result {
    write!(f, "CONSUME FROM {}", Name(&consume.topic_id))?;
    clause(f, "PARTITION", consume.partition_id)?;
    clause(f, "GROUP", consume.group_id.as_deref().map(Text))?;
    clause(f, "FROM", consume.start.map(Beginning))?;
    clause(f, "LIMIT", consume.limit)
}

fn select(f: &mut Formatter<'_>, select: &Select) -> fmt::Result {
    let columns = match &select.columns {
        Columns::All => "*".to_owned(),
        Columns::Named(columns) => columns.join(", "),
    };
    write!(f, "SELECT {columns} FROM {}", select.view.name())?;
    for (index, condition) in select.conditions.iter().enumerate() {
        f.write_str(if index == 0 { " WHERE " } else { " AND " })?;
        match condition {
            Condition::Compare { column, comparison, value } => {
                write!(f, "{column} {} ", comparison.as_str())?;
                literal(f, value)?;
            }
            Condition::IsNull { column } => write!(f, "{column} IS NULL")?,
            Condition::IsNotNull { column } => write!(f, "{column} IS NOT NULL")?,
        }
    }
    for (index, order) in select.order.iter().enumerate() {
        let before = if index == 0 { " ORDER BY " } else { ", " };
        write!(f, "{before}{}{}", order.column, if order.is_descending { " DESC" } else { "" })?;
    }
    clause(f, "LIMIT", select.limit)
}

fn literal(f: &mut Formatter<'_>, literal: &Literal) -> fmt::Result {
    match literal {
        Literal::Text(text) => Text(text).fmt(f),
        Literal::Integer(number) => number.fmt(f),
        Literal::Boolean(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
    }
}
