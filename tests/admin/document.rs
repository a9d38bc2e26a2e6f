//! Compares the admin's answers with its OpenAPI document, by generated requests.
//!
//! schemathesis generates them, in the versions of `python/requirements.txt`. It is installed into a folder below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use messagekit_admin::Role;
use messagekit_testkit::block_on;
use messagekit_tests::{Database, printed, python};

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
    // What is refused or answered does not depend on the role beyond the first checks: one role tries every shape.
    let (phases, examples) = match role {
        _ if messagekit_tests::is_full() => ("examples,coverage,fuzzing", "10"),
        Role::Admin => ("examples,coverage,fuzzing", "4"),
        _ => ("examples,fuzzing", "4"),
    };
    command.args(["--checks", CHECKS, "--phases", phases, "--max-examples", examples]);
    command.args(["--seed", "1", "--continue-on-failure", "--no-color"]);
    command.args(routes);
    let said = printed(&mut command, &format!("requests as {role}"));
    assert!(said.contains(tested), "as {role}: {said}");
}

/// Returns the path of schemathesis, which is installed once per version.
fn schemathesis() -> PathBuf {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("admin/python/requirements.txt");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    python(&folder, &list).with_file_name("st")
}
