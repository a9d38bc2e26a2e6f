//! Archives of one folder, the same bytes for the same files.

use std::path::Path;
use std::process::Command;

use crate::guard;

/// Packs a folder as `.tar.gz` under its own name: sorted, owned by root, and all files as old as `time`.
///
/// # Errors
/// Returns an error if `tar` fails.
pub(super) fn pack(folder: &Path, archive: &Path, time: &str) -> Result<(), String> {
    let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(format!("{} is no folder that can be packed", folder.display()));
    };
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go=rX"]);
    // Without its own time, which gzip would write.
    tar.arg(format!("--mtime={time}")).args(["--use-compress-program", "gzip --no-name --best"]);
    tar.arg("--file").arg(archive).arg("--directory").arg(above).arg(name);
    let status = guard::status(&mut tar).map_err(|error| format!("cannot start tar: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("tar failed ({status}): {tar:?}")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_same_files_are_packed_as_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let packed = |made: &str| {
            let program = folder.path().join(made).join("messagekit-9.9.9");
            fs::create_dir_all(&program).expect("a folder is made");
            // In another order, and at another time.
            let names = if made == "first" { ["b", "a"] } else { ["a", "b"] };
            names.iter().for_each(|name| fs::write(program.join(name), name).expect("a file is written"));
            // As another umask would have made it.
            let mode = if made == "first" { 0o700 } else { 0o775 };
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("it is ours");
            let archive = folder.path().join(format!("{made}.tar.gz"));
            pack(&program, &archive, "2026-11-28T12:00:00+00:00").expect("it is packed");
            archive
        };
        let (first, second) = (packed("first"), packed("second"));
        assert_eq!(fs::read(&first).expect("it is there"), fs::read(&second).expect("it is there"));
        let listed = Command::new("tar").args(["--utc", "-tvzf"]).arg(&first).output().expect("tar lists it");
        let listed = String::from_utf8(listed.stdout).expect("text");
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines.len(), 3, "{listed}");
        assert!(lines[0].starts_with("drwxr-xr-x ") && lines[1].starts_with("-rw-r--r-- "), "{listed}");
        assert!(lines[1].contains("0/0") && lines[1].contains("2026-11-28 12:00"), "{listed}");
        assert!(
            lines[1].ends_with(" messagekit-9.9.9/a") && lines[2].ends_with(" messagekit-9.9.9/b"),
            "{listed}"
        );
    }
}
