//! Writers without this library: psql, and a Python script, publish through the SQL function.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::book::Book;
use crate::orders::{Order, Planned};

/// Places orders with psql, one transaction each, and rolls the refused ones back.
pub(crate) fn psql_places(database_url: &str, topic: &str, share: &[Planned], book: &Book) {
    let (mut script, topic) = (String::new(), quoted(topic));
    for (order, keep) in transactions(share) {
        let (id, country) = (quoted(&order.id), quoted(&order.country));
        let customer = order.customer.as_deref().map_or("NULL".to_owned(), quoted);
        let pence = order.pence;
        let end = if keep { "COMMIT" } else { "ROLLBACK" };
        script.push_str(&format!(
            "BEGIN;
             INSERT INTO orders (order_id, customer, country, pence) VALUES ({id}, {customer}, {country}, {pence});
             SELECT messagekit.publish({topic}, {customer}, 'orders.order.placed', jsonb_build_object(
                 'order_id', {id}, 'customer', {customer}, 'country', {country}, 'pence', {pence}));
             {end};\n"
        ));
    }
    let mut psql = Command::new(psql());
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--output=/dev/null",
        "--set=ON_ERROR_STOP=1",
        "--file=-",
        database_url,
    ]);
    run(psql, &script);
    write_down(share, book);
}

/// Places orders with Python, one transaction each, and rolls the refused ones back.
pub(crate) fn python_places(database_url: &str, topic: &str, share: &[Planned], book: &Book) {
    let mut lines = String::new();
    for (order, keep) in transactions(share) {
        let line = json!({
            "order_id": order.id, "customer": order.customer, "country": order.country, "pence": order.pence, "keep": keep,
        });
        lines.push_str(&format!("{line}\n"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("path/python/publish.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(psql()).arg(database_url).arg(topic);
    run(python, &lines);
    write_down(share, book);
}

/// Returns every transaction in order, and whether it is committed.
fn transactions(share: &[Planned]) -> impl Iterator<Item = (Order, bool)> {
    share.iter().flat_map(|planned| {
        let refused = planned.after_a_refused_one.then(|| (planned.order.over_the_limit(), false));
        refused.into_iter().chain([(planned.order.clone(), true)])
    })
}

fn write_down(share: &[Planned], book: &Book) {
    for (order, keep) in transactions(share) {
        if keep { book.placed(&order) } else { book.rolled_back(&order) }
    }
}

fn run(mut command: Command, input: &str) {
    let mut child =
        command.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().expect("it was piped").write_all(input.as_bytes()).expect("it reads all of it");
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{:?} ended with {status}", command.get_program());
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the path of psql: on the search path, or in the folder of Debian's packages.
fn psql() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("psql"));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions.map(|version| version.path().join("bin/psql"));
    let found = on_path.chain(packaged).find(|path| path.is_file());
    found.expect("psql is needed: install postgresql-client")
}
