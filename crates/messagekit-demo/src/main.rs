//! `messagekit-demo`: see the library's documentation.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command line talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use messagekit_demo::Options;

/// Run a year of a real shop's invoices through outbox, log and consumer in one SQLite file, while killing the
/// consumer
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match CommandLine::try_parse() {
        Ok(command_line) => command_line.options,
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print!("{asked}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("messagekit-demo: {}", one_line(&wrong));
            return ExitCode::from(2);
        }
    };
    messagekit_demo::run(options, &[]).await
}

/// Returns a usage error as one line: the fault, then the cure.
fn one_line(wrong: &clap::Error) -> String {
    let text = wrong.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let lines: Vec<&str> = lines.collect();
    let text = lines.join("; ");
    format!("{}; see --help", text.strip_prefix("error: ").unwrap_or(&text))
}
