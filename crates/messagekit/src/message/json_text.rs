//! A text of a JSON document.

use std::borrow::Cow;

use serde::Deserialize;

/// A text or a field name, borrowed if it has no escapes.
#[derive(Deserialize)]
pub(crate) struct JsonText<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);
