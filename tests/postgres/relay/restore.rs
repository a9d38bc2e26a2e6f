//! A dump that is restored into another database.

use std::process::{Command, Output, Stdio};

use messagekit_testkit::block_on;
use messagekit_tests::Database;

use super::outbox::{Relayed, ids, in_order};
use messagekit::Outbox;

/// The programs of the server's own version.
async fn program(database: &Database, name: &str) -> Command {
    let mut conn = database.connection().await;
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let installed = format!("/usr/lib/postgresql/{version}/bin/{name}");
    Command::new(if std::path::Path::new(&installed).exists() { &installed } else { name })
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pending_events_still_go_out_and_keys_keep_their_slices() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let leases = relayed.lease("r1").await;
        for number in 0..30 {
            relayed.write(&format!("e-{number:02}"), Some(&format!("k-{}", number % 7))).await;
        }
        let before = relayed.read("r1", &leases).await;
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("dump.sql");
        let mut write = program(&relayed.database, "pg_dump").await;
        succeeded(
            &write
                .arg("--file")
                .arg(&dump)
                .arg(relayed.database.url())
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        );

        let database = Database::empty().await;
        let mut read = program(&database, "psql").await;
        let read =
            read.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&dump).arg(database.url());
        succeeded(&read.stdin(Stdio::null()).output().unwrap());

        let store = database.store().await;
        let outbox = Outbox::new(store.clone(), "shop");
        let restored = Relayed { database, store, outbox };
        // Whoever relayed there is dead here, when its lease ends.
        restored
            .count(
                "WITH gone AS (DELETE FROM messagekit.relay_members RETURNING 1) SELECT count(*) FROM gone",
            )
            .await;
        let leases = restored.lease("r2").await;
        assert_eq!(leases.held.len(), 64);
        let after = restored.read("r2", &leases).await;
        assert_eq!(after.rows, before.rows);

        restored.write("new", Some("k-3")).await;
        let after = restored.read("r2", &leases).await;
        assert_eq!(in_order(&after).last(), Some(&"new"), "places count on");
        let of = |wanted: &str| after.rows[ids(&after).iter().position(|id| *id == wanted).unwrap()].shard;
        assert_eq!(of("new"), of("e-03"));
    });
}
