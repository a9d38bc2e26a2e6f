//! The service as a program. Its settings are environment variables.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    messagekit_service::main("billing", messagekit_billing::run).await
}
