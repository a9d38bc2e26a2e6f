//! What the compiler says about a case, without what differs between machines, and between versions of the code behind the case.

use std::path::{MAIN_SEPARATOR, Path};

const CASES: &str = "tests/diagnostics/cases/";

/// Returns the text with paths from the folder of the workspace, and of other files than a case only their paths.
pub(crate) fn plain(said: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it is a member");
    let said = said.replace(&format!("{}{MAIN_SEPARATOR}", workspace.display()), "");
    let (mut lines, mut of_case) = (Vec::new(), true);
    for line in said.lines().filter(|line| !is_summary(line)) {
        let start = line.trim_start();
        let file = ["--> ", "::: "].iter().find_map(|arrow| start.strip_prefix(arrow));
        if let Some(file) = file {
            of_case = file.starts_with(CASES);
            lines.push(format!("  {} {}", &start[..3], if of_case { file.to_owned() } else { stable(file) }));
            continue;
        }
        // A further part of the text, which may show the case again.
        of_case |= line.starts_with(|first: char| first.is_ascii_alphabetic());
        if of_case || !is_of_source(line) {
            lines.push(line.trim_end().to_owned());
        }
    }
    format!("{}\n", lines.join("\n").trim_end())
}

/// Returns a file without a position in it. Those of the standard library have no folder of their own here.
fn stable(file: &str) -> String {
    let path = file.split(':').next().unwrap_or(file);
    path.rsplit_once("/library/").map_or(path.to_owned(), |(_, path)| format!("library/{path}"))
}

/// Returns whether a line shows a line of a source file, or marks a part of one.
fn is_of_source(line: &str) -> bool {
    let gutter = line.trim_start().trim_start_matches(|number: char| number.is_ascii_digit()).trim_start();
    gutter.starts_with('|') || gutter.starts_with("...")
}

/// Returns whether a line says how many errors there were, and where more is to be read.
fn is_summary(line: &str) -> bool {
    let begins = ["error: aborting due to", "For more information about", "Some errors have detailed"];
    begins.iter().any(|begin| line.starts_with(begin))
}
