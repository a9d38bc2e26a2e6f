//! The rules of Prometheus as types: the keys that this project uses, and no others.

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Rule>,
}

/// One alert.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) alert: String,
    pub(crate) expr: String,
    #[serde(rename = "for")]
    _wait: Option<String>,
    pub(crate) labels: Severity,
    pub(crate) annotations: Annotations,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Severity {
    pub(crate) severity: String,
}

/// What an operator reads: what happened, what to do, and the page with more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annotations {
    pub(crate) summary: String,
    pub(crate) description: String,
    pub(crate) page: String,
}

impl Rules {
    pub(crate) fn read(text: &str) -> Self {
        serde_saphyr::from_str(text).expect("the rules have this form")
    }

    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Rule> + Clone {
        self.groups.iter().flat_map(|group| &group.rules)
    }
}

impl Rule {
    /// Returns the labels that its texts show.
    pub(crate) fn shown_labels(&self) -> Vec<String> {
        let texts = [&self.annotations.summary, &self.annotations.description];
        let parts = texts.into_iter().flat_map(|text| text.split("$labels.").skip(1));
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        parts.map(|rest| rest.chars().take_while(|character| is_name(*character)).collect()).collect()
    }
}

/// Returns the anchor of a heading in Markdown.
pub(crate) fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|character| character.is_alphanumeric() || [' ', '-'].contains(character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}
