//! The commands of the page on topics, unchanged and in their order.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Each command of the page, and what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit topics create rss.items --dedup url", "topic rss.items created"),
    (
        r#"echo '{"url": "https://example.org/1", "title": "one"}' | messagekit topics append --if-new rss.items"#,
        "1\n",
    ),
    ("messagekit topics list", "rss.items"),
    (
        "messagekit topics consume rss.items --consumer summaries",
        "{\"title\":\"one\",\"url\":\"https://example.org/1\"}\n",
    ),
    ("messagekit topics export rss.items --all --output items.ndjson", ""),
    ("messagekit topics import rss.items items.ndjson", "0 imported, 1 known already"),
    ("messagekit topics show rss.items", "consumer    default: 1 new, 0 handled, 0 dead"),
    (
        "messagekit topics retention rss.items --max-age 30d",
        "topic rss.items keeps records of the last 720h; records deleted: 0",
    ),
    ("messagekit topics plot", "rss.items[\"rss.items<br/>"),
    ("messagekit topics backup rss-copy.db", "copied to rss-copy.db"),
    ("messagekit topics drop rss.items --yes", "topic rss.items is dropped; records deleted: 1"),
];

fn written() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/topics.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    shell.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn commands_of_the_page_on_topics_do_what_it_says() {
    let known: Vec<&str> = COMMANDS.iter().map(|(line, _)| *line).collect();
    assert_eq!(written(), known, "the page has other commands than its test");
    let folder = TempDir::new().unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
    for (line, prints) in COMMANDS {
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).current_dir(folder.path()).stdin(Stdio::null());
        shell.env("PATH", &path).env("MESSAGEKIT_DATABASE_URL", "sqlite:rss.db");
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && printed.contains(prints), "{line}: {printed}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{line}");
    }
    assert!(folder.path().join("rss-copy.db").exists());
}
