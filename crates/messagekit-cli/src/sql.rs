//! `messagekit sql`.

use std::io::{self, IsTerminal, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit::{Error, ErrorKind};
use messagekit_sql::{Answer, ColumnType, Command, SyntaxError, parse_script};
use messagekit_topic_store::Pages;
use messagekit_topic_store::TableSources;
use messagekit_topics::Topics;
use serde_json::{Value, json};

use crate::database::Database;
use crate::output::{bytes, print, printable, table};
use crate::topics::file::{self, Work};

/// Run SQL statements about topics, table sources and groups.
///
/// Each statement runs by itself, in order; the first that fails ends the command.
#[derive(Debug, clap::Args)]
pub(crate) struct Sql {
    #[command(flatten)]
    database: Database,
    /// One JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Statements, with semicolons between them; without any they are read from standard input
    #[arg(value_name = "STATEMENT")]
    statements: Vec<String>,
}

impl Sql {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let text = match self.statements.is_empty() {
            true => from_stdin()?,
            false => self.statements.join(";\n"),
        };
        let commands = parse_script(&text).map_err(|error| unread(&error))?;
        file::work(&self.database, &Statements { commands, json: self.json }).await
    }
}

struct Statements {
    commands: Vec<Command>,
    json: bool,
}

impl Work for Statements {
    async fn run<S: TableSources + Pages>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let mut results = Vec::new();
        for command in &self.commands {
            match messagekit_sql::run(topics, command).await {
                Ok(answer) if self.json => results.push(answer),
                Ok(answer) => show(&answer)?,
                Err(error) => {
                    if self.json {
                        print(json!({ "results": results }))?;
                    }
                    return Err(error.into());
                }
            }
        }
        if self.json { print(json!({ "results": results })) } else { Ok(()) }
    }
}

fn from_stdin() -> Result<String, Error> {
    if io::stdin().is_terminal() {
        eprintln!("reading statements from this terminal: end with Ctrl-D");
    }
    let mut text = String::new();
    let longest = messagekit_sql::MAX_BYTES as u64 + 1;
    io::stdin().take(longest).read_to_string(&mut text).map_err(|error| {
        Error::new(ErrorKind::InvalidConfiguration, "standard input is no text in UTF-8").caused_by(error)
    })?;
    Ok(text)
}

/// The line with a mark under the token stands above the error.
fn unread(error: &SyntaxError) -> Error {
    eprintln!("{}", error.snippet());
    Error::new(ErrorKind::InvalidConfiguration, error.to_string())
}

fn show(answer: &Answer) -> Result<(), Error> {
    if let Some(message) = &answer.message {
        if answer.schema.is_empty() {
            return print(printable(message));
        }
        eprintln!("{}", printable(message));
    }
    if answer.rows.is_empty() {
        return print("no rows");
    }
    let names: Vec<&str> = answer.schema.iter().map(|column| column.name).collect();
    let mut rows = table(&names);
    for row in &answer.rows {
        rows.add_row(row.iter().zip(&answer.schema).map(|(value, column)| cell(value, column.data_type)));
    }
    print(rows)
}

/// Bytes are shown as the text that they mostly are.
fn cell(value: &Value, data_type: ColumnType) -> String {
    match (value, data_type) {
        (Value::Null, _) => String::new(),
        (Value::String(text), ColumnType::Binary) => match STANDARD.decode(text) {
            Ok(payload) => bytes(&payload),
            Err(_) => printable(text),
        },
        (Value::String(text), _) => printable(text),
        (value, _) => printable(&value.to_string()),
    }
}
