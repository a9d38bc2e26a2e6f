//! Walks over the tokens of a statement, and remembers what it could have been.

use std::str::FromStr;
use std::sync::Arc;

use messagekit::adapter::check_topic;

use crate::error::SyntaxError;
use crate::token::{Token, TokenKind, quoted};

/// The tokens of a statement, from one of them on.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    end: Token<'a>,
    /// What was looked for at this token.
    tried: Vec<&'static str>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str, tokens: &'a [Token<'a>]) -> Self {
        let none = Token { kind: TokenKind::End, text: "", offset: text.len() };
        Self { text, tokens, at: 0, end: tokens.last().copied().unwrap_or(none), tried: Vec::new() }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// Returns the token that stands some tokens further on. Behind the end is the end.
    pub(crate) fn peek_at(&self, further: usize) -> Token<'a> {
        self.tokens.get(self.at + further).copied().unwrap_or(self.end)
    }

    /// Takes a token. The end is never passed.
    pub(crate) fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        self.tried.clear();
        token
    }

    /// Takes a token if it is what is looked for.
    fn take_if(&mut self, is_it: bool, label: &'static str) -> bool {
        if is_it {
            self.take();
        } else {
            self.tried.push(label);
        }
        is_it
    }

    pub(crate) fn eat(&mut self, keyword: &'static str) -> bool {
        self.take_if(self.peek().is_keyword(keyword), keyword)
    }

    pub(crate) fn eat_if_exists(&mut self) -> bool {
        let is_said = self.peek().is_keyword("IF") && self.peek_at(1).is_keyword("EXISTS");
        if is_said {
            self.take();
            self.take();
        }
        is_said
    }

    pub(crate) fn eat_symbol(&mut self, symbol: &'static str) -> bool {
        self.take_if(self.peek().is_symbol(symbol), symbol)
    }

    /// Takes the keyword of a clause that may stand once.
    pub(crate) fn eat_clause(&mut self, keyword: &'static str, is_taken: bool) -> Result<bool, SyntaxError> {
        if is_taken && self.peek().is_keyword(keyword) {
            return Err(self.wrong(self.peek(), format!("{keyword} once"), "a second one".to_owned()));
        }
        Ok(!is_taken && self.eat(keyword))
    }

    pub(crate) fn expect(&mut self, keyword: &'static str) -> Result<(), SyntaxError> {
        if self.eat(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(crate) fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), SyntaxError> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(crate) fn expect_end(&mut self) -> Result<(), SyntaxError> {
        match self.peek().kind {
            TokenKind::End => Ok(()),
            _ => Err(self.expecting("the end of the statement")),
        }
    }

    /// Nothing that was looked for stands here.
    pub(crate) fn unexpected(&self) -> SyntaxError {
        let token = self.peek();
        self.wrong(token, either(&self.tried), token.shown())
    }

    /// Neither this nor anything else that was looked for stands here.
    pub(crate) fn expecting(&mut self, label: &'static str) -> SyntaxError {
        self.tried.push(label);
        self.unexpected()
    }

    /// Points at a token.
    pub(crate) fn wrong(&self, token: Token<'_>, expected: String, found: String) -> SyntaxError {
        SyntaxError::at(self.text, token.offset, token.text.len(), found, expected)
    }

    /// Takes the name of a topic, such as `shop.orders` or `"shop-eu.orders"`.
    pub(crate) fn topic(&mut self) -> Result<Arc<str>, SyntaxError> {
        let first = self.peek();
        let (parts, end) = self.dotted("the name of a topic")?;
        let written = &self.text[first.offset..end];
        let next = self.peek();
        if next.offset == end && (next.is_symbol("-") || next.kind == TokenKind::Number) {
            let cure = "a name that is more than letters, digits, dots and `_` stands in double quotes";
            let expected = "the end of the name";
            return Err(self.wrong(next, expected.to_owned(), next.shown()).with_cure(cure));
        }
        let name = parts.iter().map(Token::content).collect::<Vec<_>>().join(".");
        if check_topic(&name).is_err() {
            let expected = "a topic of 1 to 249 characters of a-z A-Z 0-9 . _ -, like shop.orders".to_owned();
            let whole = Token { text: written, ..first };
            return Err(self.wrong(whole, expected, quoted(written)));
        }
        Ok(name.into())
    }

    /// Takes names with dots between them, and returns the byte behind them.
    pub(crate) fn dotted(&mut self, label: &'static str) -> Result<(Vec<Token<'a>>, usize), SyntaxError> {
        let mut parts = vec![self.name(label)?];
        while self.peek().is_symbol(".") {
            self.take();
            parts.push(match self.peek().kind {
                TokenKind::Number => {
                    let cure = "a name with a part that begins with a digit stands in double quotes";
                    return Err(self.expecting(label).with_cure(cure));
                }
                _ => self.name(label)?,
            });
        }
        let end = parts.last().map_or(0, Token::end);
        Ok((parts, end))
    }

    /// Takes a bare or quoted name.
    pub(crate) fn name(&mut self, label: &'static str) -> Result<Token<'a>, SyntaxError> {
        let token = self.peek();
        match token.kind {
            TokenKind::Word | TokenKind::QuotedName => Ok(self.take()),
            TokenKind::Text => {
                Err(self.expecting(label).with_cure("a name stands bare, or in double quotes"))
            }
            _ => Err(self.expecting(label)),
        }
    }

    /// Takes a string that is not empty, and has no control characters.
    pub(crate) fn string(&mut self, label: &'static str) -> Result<String, SyntaxError> {
        let token = self.peek();
        if token.kind != TokenKind::Text {
            let error = self.expecting(label);
            return Err(if token.is_name() { error.with_cure("write it in single quotes") } else { error });
        }
        let content = token.content();
        if content.is_empty() || content.contains(char::is_control) {
            return Err(self.expecting(label).with_cure("it is not empty, and has no control characters"));
        }
        self.take();
        Ok(content)
    }

    /// Takes a whole number that a type has.
    pub(crate) fn number<T: FromStr>(&mut self, label: &'static str) -> Result<T, SyntaxError> {
        let token = self.peek();
        let is_whole =
            token.kind == TokenKind::Number && token.text.bytes().all(|byte| byte.is_ascii_digit());
        match token.text.parse() {
            Ok(number) if is_whole => {
                self.take();
                Ok(number)
            }
            _ => Err(self.expecting(label)),
        }
    }
}

/// Joins what was looked for.
pub(crate) fn either(labels: &[&str]) -> String {
    let shown = |label: &&str| {
        let is_symbol = label.starts_with(|first: char| first.is_ascii_punctuation() && first != '\'');
        if is_symbol { format!("`{label}`") } else { (*label).to_owned() }
    };
    match labels {
        [] => "something else".to_owned(),
        [one] => shown(one),
        [first @ .., last] => {
            format!("{} or {}", first.iter().map(shown).collect::<Vec<_>>().join(", "), shown(last))
        }
    }
}
