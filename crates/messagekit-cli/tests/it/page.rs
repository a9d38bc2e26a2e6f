//! A page of the documentation whose commands and programs are run, unchanged and in their order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A page, and the folder in which its reader is.
pub(crate) struct Page {
    text: String,
    folder: TempDir,
}

impl Page {
    /// Opens a page of `docs`.
    pub(crate) fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        Self { text: fs::read_to_string(path).unwrap(), folder: TempDir::new().unwrap() }
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the blocks of a language.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let blocks = self.text.split("\n```").skip(1).step_by(2);
        blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
    }

    /// Runs the commands of the page, each of which must print its text.
    pub(crate) fn run_commands(&self, commands: &[(&str, &str)]) {
        let written: Vec<String> =
            self.blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
        let known: Vec<&str> = commands.iter().map(|(line, _)| *line).collect();
        assert_eq!(written, known, "the page has other commands than its test");
        for (line, prints) in commands {
            let printed = self.run(Path::new("sh"), &["-euc", line]);
            assert!(printed.contains(prints), "{line}: {printed}");
        }
    }

    /// Runs a program as a reader of the page does, and returns what it prints.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
        let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("PATH", path).env("MESSAGEKIT_DATABASE_URL", "sqlite:shop.db");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
        assert_eq!(text(output.stderr), "", "{arguments:?}");
        text(output.stdout)
    }
}
