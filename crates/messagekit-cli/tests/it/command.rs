//! Running the program.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Nothing listens here: the system assigns no port below 1024 by itself.
pub(crate) const AWAY: &str = "127.0.0.1:9";
pub(crate) const ALSO_AWAY: &str = "127.0.0.1:10";

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command in an environment that does not affect its output.
pub(crate) fn messagekit(arguments: &[&str]) -> Answer {
    messagekit_with(arguments, &[])
}

/// Runs a command with environment variables.
pub(crate) fn messagekit_with(arguments: &[&str], variables: &[(&str, &str)]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_messagekit"))
        .args(arguments)
        .env_remove("MESSAGEKIT_DATABASE_URL")
        .env_remove("MESSAGEKIT_CONNECT_URL")
        .env("COLUMNS", "200")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints text");
    let code = output.status.code().expect("no signal ends the program");
    Answer { code, out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command on a file.
pub(crate) fn on(file: &Path, arguments: &[&str]) -> Answer {
    let url = format!("sqlite:{}", file.display());
    messagekit(&[arguments, &["--database", &url]].concat())
}

impl Answer {
    /// Expects success, and returns the output.
    pub(crate) fn text(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }

    /// Expects success and one JSON document.
    pub(crate) fn json(self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Expects one line of error with these texts, and nothing else.
    pub(crate) fn refused(self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        self.explained(says);
    }

    /// Expects one line of error with these texts.
    pub(crate) fn explained(&self, says: &[&str]) {
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("messagekit: ") && self.err.len() < 500, "{self:?}");
        for text in says {
            assert!(self.err.contains(text), "{text:?} is missing: {self:?}");
        }
    }
}
