//! The statements about topics, table sources and consumers, as one typed [`Command`].
//!
//! This is the grammar alone: it knows no database. A statement that is parsed is well formed; that its topic, table or offset exists, is
//! found out by the program that runs it.
//!
//! ```
//! use messagekit_sql::{Command, parse, parse_script};
//!
//! let command = parse("create topic shop.orders partitions 4 with (retention_seconds = 604800)")?;
//! let Command::CreateTopic(create) = &command else { panic!("it is another statement") };
//! assert_eq!((&*create.topic, create.partitions.map(u32::from)), ("shop.orders", Some(4)));
//! assert_eq!(command.to_string(), "CREATE TOPIC shop.orders PARTITIONS 4 WITH (retention_seconds = 604800)");
//!
//! let script = "ALTER TOPIC shop.orders ADD SOURCE orders ON INSERT, UPDATE WHERE NEW.status = 'paid';
//!               CONSUME FROM shop.orders GROUP 'shipping' FROM EARLIEST LIMIT 100;";
//! assert_eq!(parse_script(script)?.len(), 2);
//!
//! let error = parse("CONSUME FROM shop.orders GROUP shipping").unwrap_err();
//! assert_eq!((error.line(), error.column()), (1, 32));
//! assert_eq!(error.snippet(), "CONSUME FROM shop.orders GROUP shipping\n                               ^^^^^^^^");
//! # Ok::<(), messagekit_sql::SyntaxError>(())
//! ```
//!
//! # Words and names
//! Keywords may be written in any case. Names keep theirs. A name stands bare, or in double quotes: `"shop-eu.orders"`. Strings stand in
//! single quotes, with `''` for a quote. `-- …` and `/* … */` are comments. No word is reserved: `SHOW ROUTES FOR group` is about the
//! topic `group`.
//!
//! # What a statement may be
//! A text has at most [`MAX_BYTES`], a statement [`MAX_TOKENS`], parentheses stand [`MAX_DEPTH`] deep, and an expression has at most
//! [`MAX_EXPRESSION_BYTES`], with 100 operators on each other. No text makes the parser panic.

mod command;
mod consume;
mod cursor;
mod error;
mod expression;
mod lexer;
mod limits;
mod options;
mod print;
mod query;
mod run;
mod select;
mod source;
mod statement;
mod token;
mod topic;

pub use command::{
    Acknowledge, Command, CreateTopic, DropGroup, DropSource, DropTopic, ResetGroup, RetentionLimit,
    RetentionOptions,
};
pub use error::SyntaxError;
pub use limits::{MAX_BYTES, MAX_DEPTH, MAX_EXPRESSION_BYTES, MAX_TOKENS};
pub use messagekit_topics::operations::NewSource;
pub use messagekit_wire::{Consume, Start};
pub use query::{Columns, Comparison, Condition, Literal, Order, Select};
pub use run::{Answer, AnswerColumn, ColumnType, run};
pub use statement::{parse, parse_script};
