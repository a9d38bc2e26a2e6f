//! The steps of the schema, whose copies stand in the crates: a package that is built alone has no workspace around it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Makes the folder of each engine's crate equal to that of `migrations/`.
pub(crate) fn copy() -> Result<ExitCode, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask is in no workspace")?;
    for engine in ["postgres", "sqlite"] {
        let from = root.join("migrations").join(engine);
        let to = root.join(format!("crates/messagekit-{engine}/migrations"));
        replace(&from, &to).map_err(|error| format!("{} cannot be copied: {error}", from.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads everything first: what cannot be read leaves the copy as it is.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut steps = BTreeMap::new();
    for file in fs::read_dir(from)? {
        let file = file?;
        steps.insert(file.file_name(), fs::read(file.path())?);
    }
    for (name, step) in &steps {
        fs::write(to.join(name), step)?;
    }
    for file in fs::read_dir(to)? {
        let file = file?;
        if !steps.contains_key(&file.file_name()) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
