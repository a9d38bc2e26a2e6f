//! `messagekit completions`.

use std::process::Command;

use tempfile::TempDir;

use crate::command::messagekit;

#[test]
fn each_shell_gets_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = messagekit(&["completions", shell]).text();
        for word in ["dlq", "rejected", "--fingerprint"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    messagekit(&["completions", "tcsh"]).refused(2, &["tcsh", "bash"]);
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("messagekit.bash");
    std::fs::write(&script, messagekit(&["completions", "bash"]).text()).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let completed = |words: &[&str]| {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let text = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _messagekit messagekit '{last}' '{before}'; echo ${{COMPREPLY[@]}}",
            script.display(),
            words.join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &text]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed(&["messagekit", "dl"]), "dlq");
    assert_eq!(completed(&["messagekit", "dlq", "li"]), "list");
    assert_eq!(completed(&["messagekit", "dlq", "list", "--fing"]), "--fingerprint");
}
