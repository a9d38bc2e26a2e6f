//! What a registry answers.

use messagekit::{Error, ErrorKind};
use serde::Deserialize;

use crate::{SchemaDocument, SchemaFormat, SchemaReference};

/// The longest text of a server that an error repeats, in characters.
const LONGEST: usize = 500;

#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) id: u32,
}

/// A schema; without a format it is one of Avro.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema {
    pub(super) schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    pub(super) references: Vec<SchemaReference>,
}

impl Schema {
    pub(super) fn document(&self) -> Result<SchemaDocument, Error> {
        let format = self.schema_type.as_deref().map_or(Ok(SchemaFormat::Avro), str::parse)?;
        Ok(SchemaDocument { format, text: self.schema.clone(), references: self.references.clone() })
    }
}

#[derive(Deserialize)]
pub(super) struct Compatible {
    is_compatible: bool,
    #[serde(default)]
    messages: Option<Vec<String>>,
}

impl Compatible {
    pub(super) fn reasons(self) -> Vec<String> {
        match (self.is_compatible, self.messages.filter(|messages| !messages.is_empty())) {
            (true, _) => Vec::new(),
            (false, Some(messages)) => messages,
            (false, None) => vec!["registry gives no reason".to_owned()],
        }
    }
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// Returns the error of an answer that is none of success.
pub(super) fn refused(status: u16, body: &[u8]) -> Error {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let said = |text: &str| match &refusal {
        Some(refusal) if !refusal.message.is_empty() => {
            let message: String = refusal.message.chars().take(LONGEST).collect();
            format!("{text}: {}", message.trim())
        }
        _ => text.to_owned(),
    };
    let error = match status {
        401 | 403 => Error::new(ErrorKind::Unauthorized, said("registry refuses user or token")),
        // 40401 to 40499: subject, version or schema. Any other 404 is that of a server that is no registry.
        404 if refusal.as_ref().is_some_and(|refusal| (40400..40500).contains(&refusal.error_code)) => {
            Error::new(ErrorKind::NotFound, said("registry does not have the schema"))
        }
        404 | 405 => {
            let text = "server has no schema registry at this address: does its path lack, like /apis/ccompat/v7 of Apicurio";
            Error::new(ErrorKind::InvalidConfiguration, text)
        }
        409 => Error::new(ErrorKind::SchemaMismatch, said("registry refuses the schema as incompatible")),
        400 | 422 => Error::new(ErrorKind::InvalidConfiguration, said("registry cannot read the schema")),
        408 | 429 | 500.. => {
            Error::new(ErrorKind::Unavailable, said("registry does not answer at the moment"))
        }
        _ => Error::new(ErrorKind::Other, said("registry gives an unknown answer")),
    };
    error.with("status", status)
}
