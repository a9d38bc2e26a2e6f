//! Wheels around the library that the tests were built with. Maturin checks the manifests and writes what describes a wheel; it
//! compiles nothing, which took most of the time of these tests. At full size it builds the wheels itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::{Package, maturin, only_file, pack, run, temporary};

/// Packs the wheel of a package, and returns its path. The library can do more than a released one, which has no part of another package.
pub(crate) fn packed(package: Package) -> PathBuf {
    let folder = temporary().join("packed").join(package.module);
    let (content, wheels) = (folder.join("content"), folder.join("wheels"));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&wheels).expect("a folder is made");
    let inside = content.join(package.module);
    copy(&package.folder().join("python").join(package.module), &inside);
    fs::copy(library(), inside.join("_native.abi3.so")).expect("the library is copied");
    let mut describe = Command::new(maturin());
    describe.args(["pep517", "write-dist-info", "--quiet", "--metadata-directory"]).arg(&content);
    run(describe.current_dir(package.folder()), "maturin reads Cargo.toml and pyproject.toml");
    run(pack().arg(&content).arg("--dest-dir").arg(&wheels), "the wheel is packed");
    only_file(&wheels)
}

/// Returns the path of the library, which cargo has built for these tests.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a program knows its path");
    let library = test.with_file_name("libmessagekit_native.so");
    assert!(library.exists(), "{} is not built", library.display());
    library
}

/// Copies the files of a package, without what an interpreter has compiled.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    for entry in fs::read_dir(from).expect("a folder of the package") {
        let file = entry.expect("a file").path();
        let name = file.file_name().expect("it has a name");
        match file.is_dir() {
            true if name == "__pycache__" => (),
            true => copy(&file, &to.join(name)),
            false => drop(fs::copy(&file, to.join(name)).expect("a file is copied")),
        }
    }
}
