//! The official JSON Schema of AsyncAPI 3.0.0, from the package of the project that makes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jsonschema::Validator;
use serde_json::Value;
use sha2::{Digest, Sha512};

const PACKAGE: &str = "https://registry.npmjs.org/@asyncapi/specs/-/specs-6.11.1.tgz";
/// The SHA-512 of the archive: another content under this version is refused.
const HASH: &str = "0375812ea00a1a8276fba15616da63065090d6814272ce06c45ef3b081af36aa\
                    7f9251941e3940dda01c67d5cc3292c613cccf7980f3db1f4598ee834ae2ab69";

/// Requires that a document is one of AsyncAPI 3.0.0.
pub(crate) fn assert_valid(document: &Value) {
    let validator = validator();
    let problems: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Returns whether a document is one of AsyncAPI 3.0.0.
pub(crate) fn is_valid(document: &Value) -> bool {
    validator().is_valid(document)
}

fn validator() -> Validator {
    let mut unpack = Command::new("tar");
    unpack.arg("-xzOf").arg(archive()).arg("package/schemas/3.0.0.json");
    let schema: Value = serde_json::from_slice(&run(unpack, "tar unpacks the schema")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Returns the path of the archive, which is fetched once.
fn archive() -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("asyncapi-{}.tgz", &HASH[..16]));
    if !kept.exists() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let fetched = folder.path().join("fetched.tgz");
        let mut fetch = Command::new("curl");
        fetch.args(["--fail", "--silent", "--show-error", "--location", "--retry", "5", "--output"]);
        fetch.arg(&fetched).arg(PACKAGE);
        run(fetch, "curl fetches the schemas of AsyncAPI from the registry of npm: is it reachable?");
        fs::rename(fetched, &kept).unwrap();
    }
    let bytes = fs::read(&kept).unwrap();
    let hash: String = Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, HASH, "{PACKAGE} has another content; remove {}", kept.display());
    kept
}

fn run(mut command: Command, what: &str) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    assert!(output.status.success(), "{what}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
