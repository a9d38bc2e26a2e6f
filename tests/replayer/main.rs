//! A process that runs the replays of a database until it is killed.

use messagekit::Shutdown;
use messagekit_postgres::PostgresStore;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("say the database's URL")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = PostgresStore::connect(&url).await?;
        messagekit_admin::run_replays("replayed", &store, &Shutdown::new()).await;
        Ok(())
    })
}
