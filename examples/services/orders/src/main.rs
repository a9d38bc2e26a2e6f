//! The service as a program. Its settings are environment variables.
#![allow(clippy::print_stderr, reason = "a program says why it ended")]

use std::process::ExitCode;

use messagekit::{Error, ErrorKind, chain};
use messagekit_orders::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {}", chain(&error));
            ExitCode::from(if error.kind() == ErrorKind::InvalidConfiguration { 2 } else { 1 })
        }
    }
}

async fn start() -> Result<(), Error> {
    messagekit_orders::run(Settings::from_env()?).await
}
