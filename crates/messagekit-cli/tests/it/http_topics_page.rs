//! The commands and requests of the page on topics over HTTP, in their order, and what they answer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::on;
use crate::server::Server;

/// Differs in each run.
const VARYING: [&str; 5] = ["event_id", "claim_id", "timestamp_ms", "lease_until_ms", "createdAt"];

/// Where the page lets the server listen. The test takes a free port.
const ADDRESS: &str = "127.0.0.1:9464";

/// The parts of the page that show something, each with its language.
fn blocks() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http-topics.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').unwrap()).map(|(of, text)| (of.into(), text.into())).collect()
}

/// What a reader of the page has.
struct Reader {
    folder: TempDir,
    server: Option<Server>,
    variables: Vec<(&'static str, String)>,
    /// What the last command has printed.
    printed: String,
}

impl Reader {
    fn new() -> Self {
        let variables = vec![("MESSAGEKIT_DATABASE_URL", "sqlite:shop.db".to_owned())];
        Self { folder: TempDir::new().unwrap(), server: None, variables, printed: String::new() }
    }

    fn runs(&mut self, line: &str) {
        if line.contains("--listen") {
            return self.serves(line);
        }
        let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
        let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        let output = shell.env("PATH", path).envs(self.variables.iter().cloned()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "{line}: {}", text(output.stderr));
        self.printed = text(output.stdout);
        if line.contains("admin token") {
            let lines = || self.printed.lines().map(str::trim);
            let token = lines().find(|line| line.starts_with("mk_")).unwrap().to_owned();
            let known = lines().find(|line| line.starts_with("shop service ")).unwrap();
            fs::write(self.folder.path().join("tokens"), known).unwrap();
            self.variables.push(("TOKEN", token));
        }
    }

    fn serves(&mut self, line: &str) {
        let line = line.replace(ADDRESS, "127.0.0.1:0");
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let known = line.replace("sqlite:shop.db", &format!("sqlite:{}", path("shop.db")));
        let known = known.replace("--tokens tokens", &format!("--tokens {}", path("tokens")));
        let arguments: Vec<&str> = known.split(' ').skip(1).collect();
        let mut server = Server::start(&arguments, &[]);
        self.variables.push(("SERVER", server.says("listening on ")));
        self.server = Some(server);
    }

    fn reads(&mut self, json: &str) {
        let wanted: Value = serde_json::from_str(json).unwrap();
        let answer: Value = serde_json::from_str(&self.printed).unwrap();
        assert_eq!(masked(&answer), masked(&wanted), "{answer}");
        if let Some(claim) = answer["claim_id"].as_str() {
            self.variables.push(("CLAIM", claim.to_owned()));
        }
    }
}

/// Returns a value without what differs in each run. The kinds of what differs stay.
fn masked(value: &Value) -> Value {
    let field = |(name, value): (&String, &Value)| {
        let is_varying = VARYING.contains(&name.as_str());
        let value = match value {
            Value::String(_) if is_varying => "".into(),
            Value::Number(_) if is_varying => 0.into(),
            value => masked(value),
        };
        (name.clone(), value)
    };
    match value {
        Value::Object(fields) => Value::Object(fields.iter().map(field).collect()),
        Value::Array(values) => Value::Array(values.iter().map(masked).collect()),
        value => value.clone(),
    }
}

#[test]
fn requests_of_the_page_on_topics_over_http_answer_so() {
    let mut reader = Reader::new();
    let mut answers = 0;
    for (language, text) in blocks() {
        match &*language {
            "sh" => text.replace("\\\n", "").lines().for_each(|line| reader.runs(line)),
            "json" => {
                reader.reads(&text);
                answers += 1;
            }
            // The tests of the Python package run it.
            "python" => {}
            // The examples compile it.
            "rust,no_run" => {}
            "sql" => {
                let answer = on(&reader.folder.path().join("shop.db"), &["sql", &text]);
                assert_eq!((answer.code, &*answer.err), (0, ""), "{text}");
            }
            other => panic!("a block of the page has the language {other:?}"),
        }
    }
    assert_eq!(answers, 4);
    let (code, err) = reader.server.as_mut().unwrap().stop("TERM");
    assert_eq!(code, Some(0), "{err}");
}
