//! Settings of a program: environment variables over a TOML file over defaults.
//!
//! A program reads its settings section by section, then calls [`Configuration::finish`]. Every problem is reported at
//! once, each with its key and location.
//!
//! ```
//! use std::time::Duration;
//!
//! use messagekit_config::Configuration;
//!
//! let file = r#"
//!     [bridge]
//!     name = "shop"
//!     drain = "30s"
//!
//!     [[rule]]
//!     topics = ["orders.order"]
//! "#;
//! let environment = [("MESSAGEKIT_BRIDGE__DRAIN", "5s"), ("MESSAGEKIT_BRIDGE__URL", "amqp://me:secret@rabbit")];
//! let configuration = Configuration::read(("bridge.toml", file), environment)?;
//!
//! let bridge = configuration.section("bridge");
//! let name = bridge.required::<String>("name");
//! let drain = bridge.or("drain", Duration::from_secs(10));
//! let url = bridge.required_secret("url");
//! let rules: Vec<_> =
//!     configuration.sections("rule").iter().map(|rule| rule.required::<Vec<String>>("topics")).collect();
//! configuration.finish()?;
//!
//! // What was required is there when `finish` found no problem.
//! assert_eq!(name.as_deref(), Some("shop"));
//! assert_eq!(drain, Duration::from_secs(5));
//! assert_eq!(url.unwrap().expose(), "amqp://me:secret@rabbit");
//! assert_eq!(rules, [Some(vec!["orders.order".to_owned()])]);
//! # Ok::<(), messagekit::Error>(())
//! ```
//!
//! # Variables
//!
//! `MESSAGEKIT_BRIDGE__DRAIN` sets `drain` of `[bridge]`, `MESSAGEKIT_RULE__0__TOPICS` sets `topics` of the first
//! `[[rule]]`: two underscores separate names. Commas separate the entries of a list. An empty variable counts as not
//! set. A variable without two underscores is not a setting. Variables `EVENTING_…` of messagekit for Python are read
//! if they have a counterpart ([`ALIASES`]) and the new name is not set.
//!
//! # Secrets
//!
//! A [`Secret`] is set as `key`, or as `key_file`, the path of a file that holds it. Errors and `Debug` never show it.

mod alias;
mod configuration;
mod database;
mod environment;
mod file;
mod problems;
mod programs;
mod reader;
mod secret;
mod section;
mod setting;
mod switched;
mod unknown;
mod value;

pub use alias::ALIASES;
pub use configuration::Configuration;
pub use problems::refuse;
pub use secret::Secret;
pub use section::Section;
pub use setting::Setting;
pub use value::Value;
