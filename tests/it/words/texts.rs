//! The names and texts that are compared with the words of the glossary.

use crate::tree::{read, test_names};

/// A name or a line that is compared with the list.
pub(super) struct Subject {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) is_type: bool,
}

impl Subject {
    pub(super) fn new(file: &str, line: usize, text: &str, is_type: bool) -> Self {
        Self { file: file.to_owned(), line, text: text.trim().to_owned(), is_type }
    }
}

/// Returns the name that an item defines, and whether it is a type.
fn item(code: &str) -> Option<(&str, bool)> {
    const KEYWORDS: [&str; 10] =
        ["async", "const", "enum", "fn", "mod", "static", "struct", "trait", "type", "unsafe"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = code.split(|c: char| !is_name(c)).filter(|word| !word.is_empty());
    let mut is_type = false;
    let name = words.find(|word| {
        is_type |= ["enum", "struct", "trait", "type"].contains(word);
        !KEYWORDS.contains(word)
    })?;
    (name != "use").then_some((name, is_type))
}

/// Returns public items and fields, and the members of public traits and enums.
fn public_names(file: &str, text: &str) -> Vec<Subject> {
    let mut names = Vec::new();
    let mut block = "";
    for (index, line) in text.lines().enumerate() {
        if line == "}" {
            block = "";
        }
        block =
            ["pub enum ", "pub trait "].into_iter().find(|start| line.starts_with(start)).unwrap_or(block);
        let code = line.trim_start();
        let is_member = line.len() - code.len() == 4
            && match block {
                "pub enum " => code.starts_with(|first: char| first.is_ascii_uppercase()),
                "pub trait " => {
                    ["async fn ", "const ", "fn ", "type "].iter().any(|start| code.starts_with(start))
                }
                _ => false,
            };
        let found = match code.strip_prefix("pub ") {
            Some(code) => item(code),
            None if is_member => item(code).map(|(name, _)| (name, false)),
            None => None,
        };
        names.extend(found.map(|(name, is_type)| Subject::new(file, index + 1, name, is_type)));
    }
    names
}

/// Returns the lines of help texts, and the names of metrics.
fn texts_of_programs(file: &str, text: &str) -> Vec<Subject> {
    let has_help = text.contains("clap");
    let mut texts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(help) = line.trim_start().strip_prefix("/// ").filter(|_| has_help) {
            texts.push(Subject::new(file, index + 1, help, false));
        }
        let metrics = line.split('"').skip(1).step_by(2).filter(|name| name.starts_with("messagekit_"));
        texts.extend(metrics.map(|name| Subject::new(file, index + 1, name, false)));
    }
    texts
}

fn headings(file: &str, text: &str) -> Vec<Subject> {
    let mut is_code = false;
    let mut headings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        is_code ^= line.starts_with("```");
        if line.starts_with('#') && !is_code {
            headings.push(Subject::new(file, index + 1, line, false));
        }
    }
    headings
}

/// Returns all subjects of one file.
pub(super) fn subjects(file: &str) -> Vec<Subject> {
    let is_source = file.starts_with("crates/") && file.contains("/src/");
    let mut subjects = Vec::new();
    if file.ends_with(".rs") {
        let text = read(file);
        if is_source {
            subjects.extend(public_names(file, &text));
            subjects.extend(texts_of_programs(file, &text));
        }
        subjects.extend(test_names(&text).iter().map(|(line, name)| Subject::new(file, *line, name, false)));
    } else if file.ends_with(".sql") && (is_source || file.starts_with("migrations/")) {
        let lines = read(file);
        subjects.extend(
            lines.lines().enumerate().map(|(index, line)| Subject::new(file, index + 1, line, false)),
        );
    } else if file.ends_with(".md") && file != "docs/glossary.md" {
        subjects.extend(headings(file, &read(file)));
    }
    subjects
}
