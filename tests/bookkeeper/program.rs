//! A bookkeeper of one queue in its own process, built with crash points.

use messagekit::Shutdown;
use messagekit_bookkeeper::Bookkeeper;
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::RabbitMq;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [name, database, rabbit, queue] = ["NAME", "DATABASE", "RABBITMQ", "QUEUE"].map(std::env::var);
    let store = PostgresStore::connect(&database?).await?;
    let rabbit = RabbitMq::new(&rabbit?)?.allow_lossy_queues();
    let bookkeeper = Bookkeeper::builder(name?, store).queues(rabbit.queue(queue?), rabbit.publisher());
    bookkeeper.build()?.run(Shutdown::on_signal()?).await?;
    Ok(())
}
