//! Compares the admin's answers with its OpenAPI document, by generated requests.
//!
//! schemathesis generates them, in the versions of `python/requirements.txt`. It is installed into a folder below `target`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use messagekit_admin::Role;
use messagekit_testkit::block_on;
use messagekit_tests::Database;

use crate::stock::{self, Served};

/// Every check of schemathesis: no 5xx, and statuses, types, shapes and headers as documented.
const CHECKS: &str = "all";

#[test]
fn every_operation_answers_every_role_as_described() {
    let program = schemathesis();
    let database = block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        stock::failed_messages(&store, "billing", 200).await;
        stock::events(&store, 200).await;
        database
    });
    let served = Served::over(&database);
    std::thread::scope(|scope| {
        for role in Role::ALL {
            let (program, served) = (&program, &served);
            scope.spawn(move || judge(program, served, role));
        }
    });
}

/// A service may not read the description, and has routes of its own, which only it and an administrator may use.
fn judge(program: &Path, served: &Served, role: Role) {
    if role == Role::Service {
        return requests(program, served, role, &["--include-path-regex", "^/v1/api/"], "Tested: 7");
    }
    requests(program, served, role, &["--exclude-path-regex", "^/v1/api/"], "Tested: 35");
    if role == Role::Admin {
        requests(program, served, role, &["--include-path-regex", "^/v1/api/"], "Tested: 7");
    }
}

/// Sends requests to some of the routes. A run without requests would pass, too.
fn requests(program: &Path, served: &Served, role: Role, routes: &[&str], tested: &str) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("admin/python/schemathesis.toml");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder.path()).arg("--config-file").arg(config).arg("run");
    let (document, address) = (folder.path().join("openapi.json"), format!("http://{}", served.address));
    std::fs::write(&document, served.document()).unwrap();
    command.arg(document).arg("--url").arg(address);
    command.arg("--header").arg(format!("Authorization: Bearer {}", served.secret(role)));
    command.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "10"]);
    command.args(["--seed", "1", "--continue-on-failure", "--no-color"]);
    command.args(routes);
    let output = command.stdin(Stdio::null()).output().expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "as {role}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(tested), "as {role}: {said}");
}

/// Returns the path of schemathesis, which is installed once per version.
fn schemathesis() -> PathBuf {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("admin/python/requirements.txt");
    let wanted = std::fs::read_to_string(&list).expect("the versions are in the tree");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let mark = folder.join("installed.txt");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return folder.join("bin/st");
    }
    let make =
        "python3 with its module venv makes the folder for schemathesis: install python3 and python3-venv";
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), make);
    let fetch = "pip fetches schemathesis from the package registry: is it reachable?";
    let mut pip = Command::new(folder.join("bin/pip"));
    run(pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&list), fetch);
    std::fs::write(mark, wanted).expect("notes what is installed");
    folder.join("bin/st")
}

fn run(command: &mut Command, what: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    assert!(output.status.success(), "{what}\n{}", String::from_utf8_lossy(&output.stderr));
}
