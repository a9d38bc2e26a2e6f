//! Splits a text into the tokens of one statement after another.

use crate::error::SyntaxError;
use crate::limits::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS};
use crate::token::{Token, TokenKind, quoted};

/// Operators of two characters that statements have; those of expressions come apart, which changes nothing.
const PAIRS: [&str; 4] = ["<=", ">=", "<>", "!="];

/// The characters of operators.
const OPERATORS: &str = "()[],.=*<>!+-/%|&^~:?@#";

/// A text, from the byte on at which the next statement begins.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// # Errors
    /// For a text that is too long.
    pub(crate) fn new(text: &'a str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_BYTES {
            let (found, expected) = (format!("{} bytes", text.len()), format!("at most {MAX_BYTES} bytes"));
            return Err(SyntaxError::at(text, MAX_BYTES, 1, found, expected)
                .with_cure("run the statements in several calls"));
        }
        Ok(Self { text, at: 0 })
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Returns whether there is no statement any more.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Returns the tokens of the next statement. The last one is its end.
    ///
    /// # Errors
    /// For a string or comment without an end, a character that no statement has, and too many tokens or parentheses.
    pub(crate) fn statement(&mut self) -> Result<Vec<Token<'a>>, SyntaxError> {
        let (mut tokens, mut depth) = (Vec::new(), 0_usize);
        loop {
            self.skip_blanks()?;
            let token = self.token()?;
            self.at = token.end();
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            }
            if depth > MAX_DEPTH {
                let expected = format!("at most {MAX_DEPTH} parentheses in each other");
                return Err(self.wrong(&token, "one more".to_owned(), expected));
            }
            if tokens.len() >= MAX_TOKENS && token.kind != TokenKind::End {
                let expected = format!("a statement of at most {MAX_TOKENS} words, names and operators");
                return Err(self.wrong(&token, "one more".to_owned(), expected));
            }
            tokens.push(token);
            if token.kind == TokenKind::End {
                return Ok(tokens);
            }
        }
    }

    fn wrong(&self, token: &Token<'_>, found: String, expected: String) -> SyntaxError {
        SyntaxError::at(self.text, token.offset, token.text.len(), found, expected)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over blanks and comments.
    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest();
            // The mark that editors of Windows put at the beginning of a file is a blank, too.
            let blanks =
                rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
            if blanks > 0 {
                self.at += blanks;
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += self.comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Returns the length of a comment, which may have others in it.
    fn comment(&self) -> Result<usize, SyntaxError> {
        let bytes = self.rest().as_bytes();
        let (mut at, mut depth) = (0, 0_usize);
        loop {
            match bytes.get(at..at + 2) {
                Some(b"/*") => (at, depth) = (at + 2, depth + 1),
                Some(b"*/") if depth == 1 => return Ok(at + 2),
                Some(b"*/") => (at, depth) = (at + 2, depth - 1),
                Some(_) => at += 1,
                None => return Err(self.open("/*", "a comment that ends with `*/`")),
            }
        }
    }

    /// Something at this byte has no end.
    fn open(&self, start: &str, expected: &str) -> SyntaxError {
        let line = self.rest().lines().next().unwrap_or(start);
        SyntaxError::at(self.text, self.at, start.len(), quoted(line), expected.to_owned())
    }

    fn token(&self) -> Result<Token<'a>, SyntaxError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.cut(TokenKind::End, 0)) };
        let length = |is_part: &dyn Fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        Ok(match first {
            ';' => self.cut(TokenKind::End, 1),
            '\'' => self.cut(TokenKind::Text, self.quoted_length('\'', "a string that ends with `'`")?),
            '"' => self.cut(TokenKind::QuotedName, self.quoted_length('"', "a name that ends with `\"`")?),
            '`' => self.cut(TokenKind::Symbol, self.quoted_length('`', "a name that ends with a backtick")?),
            '0'..='9' => self.cut(TokenKind::Number, number_length(rest)),
            _ if first.is_alphabetic() || first == '_' => {
                self.cut(TokenKind::Word, length(&|c| c.is_alphanumeric() || c == '_' || c == '$'))
            }
            _ if PAIRS.iter().any(|pair| rest.starts_with(pair)) => self.cut(TokenKind::Symbol, 2),
            _ if OPERATORS.contains(first) => self.cut(TokenKind::Symbol, 1),
            _ => return Err(self.strange(first)),
        })
    }

    fn cut(&self, kind: TokenKind, length: usize) -> Token<'a> {
        Token { kind, text: &self.rest()[..length], offset: self.at }
    }

    /// Returns the length of what stands in quotes; a quote inside it stands twice.
    fn quoted_length(&self, quote: char, expected: &str) -> Result<usize, SyntaxError> {
        let bytes = self.rest().as_bytes();
        let quote = quote as u8;
        let mut at = 1;
        while let Some(byte) = bytes.get(at) {
            match (*byte == quote, bytes.get(at + 1) == Some(&quote)) {
                (true, true) => at += 2,
                (true, false) => return Ok(at + 1),
                (false, _) => at += 1,
            }
        }
        Err(self.open("'", expected).with_cure("write a quote that stands inside of it twice"))
    }

    fn strange(&self, first: char) -> SyntaxError {
        let length = first.len_utf8();
        let found = quoted(&self.rest()[..length]);
        let expected = "a word, a name, a number, a string or an operator".to_owned();
        let error = SyntaxError::at(self.text, self.at, length, found, expected);
        match first {
            '$' => error.with_cure("statements have no parameters and no dollar quotes: write the value, or the text in single quotes"),
            '‘' | '’' | '“' | '”' | '„' | '«' | '»' => error.with_cure("write plain quotes, ' and \""),
            _ => error,
        }
    }
}

/// Returns the length of a number with what hangs on to it, like `1.5`, `0x1F` and, by mistake, `12abc`.
fn number_length(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let is_fraction =
            character == '.' && characters.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if !(character.is_alphanumeric() || character == '_' || is_fraction) {
            return at;
        }
    }
    text.len()
}
