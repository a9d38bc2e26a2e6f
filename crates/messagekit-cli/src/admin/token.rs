//! `messagekit admin token`.

use messagekit::Error;
use messagekit_admin::{Role, Token, Tokens};
use serde_json::json;

use crate::output::print;

#[derive(Debug, clap::Args)]
pub(super) struct Make {
    /// The owner's name, for the audit
    #[arg(long)]
    name: String,
    /// The owner's role: service, viewer, reader, operator, admin
    #[arg(long)]
    role: Role,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Make {
    pub(super) fn run(self) -> Result<(), Error> {
        let token = Token::generate()?;
        let (secret, hash) = (token.secret(), token.hash());
        // Reject now a token that the admin would reject later.
        Tokens::new().add(&self.name, self.role, hash.clone())?;
        let Self { name, role, json } = self;
        let line = format!("{name} {role} {hash}");
        if json {
            return print(json!({
                "token": secret, "name": name, "role": role.as_str(), "hash": hash.to_string(), "line": line,
            }));
        }
        print(format_args!(
            "token, shown only this once:\n  {secret}\n\nline for the file of --tokens:\n  {line}\n\nor for the configuration:\n  \
             [[token]]\n  name = \"{name}\"\n  role = \"{role}\"\n  hash = \"{hash}\""
        ))
    }
}
