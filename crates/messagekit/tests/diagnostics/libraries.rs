//! The libraries that this test was built with: a case is compiled against them, so nothing is compiled for it but the case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[derive(Debug)]
pub(crate) struct Libraries {
    /// Where they and all that they need lie.
    folder: PathBuf,
    /// By name and file.
    chosen: Vec<(&'static str, PathBuf)>,
    output: PathBuf,
}

impl Libraries {
    /// Finds them beside this test.
    pub(crate) fn of_this_build() -> Self {
        let test = std::env::current_exe().expect("a program knows its path");
        let folder = test.parent().expect("it lies in a folder").to_owned();
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diagnostics");
        fs::create_dir_all(&output).expect("a folder is made");
        let mut libraries = Self { folder, chosen: Vec::new(), output };
        // Each is the one that knows those before it: the folder has several when it was built with several sets of features.
        libraries.choose("messagekit_memory", "pub use messagekit_memory::MemoryStore;");
        let store = "fn is<S: messagekit::Store>() {} fn main() { is::<messagekit_memory::MemoryStore>() }";
        libraries.choose("messagekit", store);
        let serialized = "fn is<S: serde::Serialize>() {} fn main() { is::<messagekit::MessageId>() }";
        libraries.choose("serde", serialized);
        libraries.choose("tokio", "pub use tokio::task::yield_now;");
        libraries
    }

    /// Compiles a program without writing one.
    pub(crate) fn compile(&self, program: &Path) -> Output {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        // In narrow lines the compiler leaves out parts of long types.
        rustc.args(["--edition=2024", "--emit=metadata", "--color=never", "--diagnostic-width=1000"]);
        rustc.args(["-Awarnings", "--out-dir"]).arg(&self.output);
        rustc.arg("-L").arg(format!("dependency={}", self.folder.display()));
        for (name, file) in &self.chosen {
            rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        rustc.arg(program).output().expect("rustc is on PATH")
    }

    /// Adds the newest library of a name with which a probe compiles.
    fn choose(&mut self, name: &'static str, probe: &str) {
        let source = self.output.join("probe.rs");
        fs::write(&source, format!("#![crate_type = \"lib\"] {probe}")).expect("a probe is written");
        let mut said = String::new();
        for file in self.built(name) {
            self.chosen.push((name, file));
            let compiled = self.compile(&source);
            if compiled.status.success() {
                return;
            }
            self.chosen.pop();
            said += &String::from_utf8_lossy(&compiled.stderr);
        }
        panic!("no {name} in {} fits the others: {said}", self.folder.display());
    }

    /// Returns the files of a library, the newest first.
    fn built(&self, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).expect("the folder of this test can be listed");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        let prefix = format!("lib{name}-");
        files.retain(|file| {
            let file_name = file.file_name().unwrap_or_default().to_string_lossy();
            file_name.starts_with(&prefix) && file_name.ends_with(".rlib")
        });
        files.sort_by_key(|file| fs::metadata(file).and_then(|file| file.modified()).ok());
        files.reverse();
        files
    }
}
