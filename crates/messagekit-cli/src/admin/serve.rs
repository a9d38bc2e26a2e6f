//! Serves until a signal.

use messagekit::{Error, Shutdown};
use messagekit_admin::{Admin, Health};
use prometheus::Registry;
use tracing_subscriber::filter::LevelFilter;

use super::settings::Settings;
use crate::listen::{address, bind};
use crate::output::print;

pub(super) async fn serve(settings: Settings) -> Result<(), Error> {
    let _telemetry = crate::log::begin(LevelFilter::INFO)?;
    let registry = Registry::new();
    let exported = crate::log::export(&registry)?;
    let mut admin = Admin::builder()
        .registry(registry)
        .tokens(settings.tokens)
        .hosts(settings.hosts)
        .limits(settings.limits);
    let mut health_of = Health::new().limits(settings.limits);
    for database in &settings.databases {
        let (store, topics) = database.open_with_topics().await?;
        health_of = health_of.store(&database.name, store.clone());
        admin = admin.database(&database.name, store).topics(&database.name, topics);
    }
    let admin = settings.services.into_iter().fold(admin, |admin, service| admin.service(service)).build()?;
    let shutdown = Shutdown::on_signal()?;
    let listener = bind(settings.listen).await?;
    let health = match settings.health {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    print(format_args!("listening on http://{}", address(&listener)?))?;
    let open = async {
        match health {
            Some(listener) => {
                print(format_args!("health without a token on http://{}", address(&listener)?))?;
                messagekit_admin::serve(listener, health_of.router(), shutdown.clone()).await
            }
            None => Ok(()),
        }
    };
    let measured = async {
        if let Some(interval) = exported.interval() {
            // An export finds what was measured a moment before.
            admin.measure_every(interval / 4, shutdown.clone()).await;
        }
        Ok(())
    };
    tokio::try_join!(admin.serve(listener, shutdown.clone()), open, measured)?;
    Ok(())
}
