//! `messagekit admin`.

mod serve;
mod settings;
mod token;

use messagekit::Error;

use crate::output::print;

/// Serve failed messages, replay, health and metrics over HTTP.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Admin {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: settings::Options,
    /// Read the settings, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token, print it once, and print its line for the token file
    Token(token::Make),
}

impl Admin {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Some(Command::Token(make)) => make.run(),
            None => {
                let settings = self.serve.settings()?;
                if self.check {
                    return print("settings of the admin can be used");
                }
                serve::serve(settings).await
            }
        }
    }
}
