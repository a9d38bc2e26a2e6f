//! Quotes for SQL, as the server's own `quote_ident` and `quote_literal` make them.

/// Quotes an identifier for SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text for SQL. Its meaning depends on no setting: without the `E`, a session that turns `standard_conforming_strings` off would
/// read a backslash as an escape, and `\'` would end the literal.
pub(crate) fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}
