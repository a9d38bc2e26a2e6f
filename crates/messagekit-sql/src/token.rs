//! Words, names, numbers, strings and operators.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword, or a bare name.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// A string in single quotes.
    Text,
    /// A number, or what begins like one.
    Number,
    /// An operator or a parenthesis; also a name in backticks, which only an expression may have.
    Symbol,
    /// The end of the statement: a semicolon, or nothing.
    End,
}

/// A token with its position in the whole text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// As it is written, with its quotes.
    pub(crate) text: &'a str,
    /// The byte at which it begins.
    pub(crate) offset: usize,
}

impl<'a> Token<'a> {
    /// Returns the byte behind it.
    pub(crate) fn end(&self) -> usize {
        self.offset + self.text.len()
    }

    pub(crate) fn is_keyword(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Returns whether it can be a name, or a part of one.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::QuotedName)
    }

    /// Returns what a name or a string says, without its quotes; anything else as it is written.
    pub(crate) fn content(&self) -> String {
        let quote = match self.kind {
            TokenKind::QuotedName => "\"",
            TokenKind::Text => "'",
            _ => return self.text.to_owned(),
        };
        let inner: &'a str = self.text;
        let inner = inner.strip_prefix(quote).and_then(|inner| inner.strip_suffix(quote)).unwrap_or(inner);
        inner.replace(&quote.repeat(2), quote)
    }

    /// Returns it for an error.
    pub(crate) fn shown(&self) -> String {
        if self.kind == TokenKind::End && self.text.is_empty() {
            return "the end of the statement".to_owned();
        }
        quoted(self.text)
    }
}

/// Returns a piece of a text for an error: at most 60 characters, and none that a terminal obeys.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::from("`");
    for character in text.chars().take(LONGEST) {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown + "`"
}
