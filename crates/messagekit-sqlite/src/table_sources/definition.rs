//! The texts of expressions in the definition of a table or an index, which SQLite keeps and shows nowhere else.
//!
//! SQLite has accepted the definition, so it is enough to know where words, names, texts and comments end.

use super::quoting::literal;

/// What is between the outer parentheses of a definition, split at its commas, and what follows them.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    pub(super) parts: Vec<Tokens<'a>>,
    pub(super) rest: Tokens<'a>,
}

/// The words and signs of a part of a definition.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens<'a> {
    sql: &'a str,
    /// Where each word or sign begins and ends.
    tokens: Vec<(usize, usize)>,
}

impl<'a> Definition<'a> {
    pub(super) fn read(sql: &'a str) -> Self {
        let empty = || Tokens { sql, tokens: Vec::new() };
        let (mut parts, mut rest, mut depth, mut is_over) = (vec![empty()], empty(), 0_u32, false);
        for token in Tokens::read(sql).tokens {
            let sign = &sql[token.0..token.1];
            depth -= u32::from(sign == ")" && depth > 0);
            match (is_over, depth, sign) {
                (true, ..) => rest.tokens.push(token),
                (_, 0, ")") => is_over = true,
                (_, 1, ",") => parts.push(empty()),
                (_, 0, _) => {}
                _ => parts.last_mut().expect("there is one").tokens.push(token),
            }
            depth += u32::from(sign == "(");
        }
        Self { parts, rest }
    }
}

impl Definition<'_> {
    /// Returns the expression of a generated column of a table.
    pub(super) fn generated(&self, column: &str) -> Option<String> {
        let is_named = |part: &&Tokens<'_>| {
            part.words().next().is_some_and(|name| unquoted(name).eq_ignore_ascii_case(column))
        };
        self.parts.iter().find(is_named)?.generated().map(str::to_owned)
    }
}

impl<'a> Tokens<'a> {
    pub(super) fn read(sql: &'a str) -> Self {
        let (mut tokens, mut start) = (Vec::new(), 0);
        while let Some(first) = sql[start..].chars().next() {
            let (length, is_token) = token(&sql[start..], first);
            if is_token {
                tokens.push((start, start + length));
            }
            start += length;
        }
        Self { sql, tokens }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.tokens.iter().map(|(start, end)| &self.sql[*start..*end])
    }

    /// Returns the text between two of its tokens.
    fn text(&self, from: usize, until: usize) -> &'a str {
        match self.tokens.get(from..until) {
            Some([(start, _), .., (_, end)] | [(start, end)]) => &self.sql[*start..*end],
            _ => "",
        }
    }

    fn generated(&self) -> Option<&'a str> {
        let words: Vec<&str> = self.words().collect();
        let mut depth = 0_u32;
        let mut from = None;
        for (index, word) in words.iter().enumerate() {
            match *word {
                "(" => {
                    if depth == 0 && index > 1 && words[index - 1].eq_ignore_ascii_case("AS") {
                        from = Some(index + 1);
                    }
                    depth += 1;
                }
                ")" => {
                    depth = depth.saturating_sub(1);
                    if let Some(from) = from.filter(|_| depth == 0) {
                        return Some(self.text(from, index));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Returns the expression of a part of an index, without its direction.
    pub(super) fn indexed(&self) -> &'a str {
        let is_direction = |word: &str| word.eq_ignore_ascii_case("ASC") || word.eq_ignore_ascii_case("DESC");
        let directions = self.words().last().is_some_and(is_direction);
        self.text(0, self.tokens.len() - usize::from(directions))
    }

    /// Returns what follows `WHERE`.
    pub(super) fn condition(&self) -> Option<&'a str> {
        let is_condition = self.words().next()?.eq_ignore_ascii_case("WHERE");
        is_condition.then(|| self.text(1, self.tokens.len()))
    }

    /// Returns the names before parentheses.
    pub(super) fn functions(&self) -> impl Iterator<Item = &'a str> + '_ {
        let is_name = |word: &str| word.starts_with(|first: char| first.is_alphabetic() || first == '_');
        self.words()
            .zip(self.words().skip(1))
            .filter(move |(word, next)| is_name(word) && *next == "(")
            .map(|(word, _)| word)
    }
}

/// Returns an expression whose texts are in single quotes. Words in double quotes that name no column are texts for SQLite where the
/// expression was written, and are refused in the statement of a program that has turned that off.
pub(super) fn with_single_quotes(sql: &str, is_column: impl Fn(&str) -> bool) -> String {
    let tokens = Tokens::read(sql);
    let words: Vec<&str> = tokens.words().collect();
    let (mut plain, mut end) = (String::with_capacity(sql.len()), 0);
    for (index, (from, until)) in tokens.tokens.iter().enumerate() {
        let word = words[index];
        let before = index.checked_sub(1).map_or("", |before| words[before]);
        let after = words.get(index + 1).copied().unwrap_or_default();
        let is_name = ["COLLATE", "AS", "."].iter().any(|name| before.eq_ignore_ascii_case(name))
            || ["(", "."].contains(&after)
            || is_column(&unquoted(word));
        plain.push_str(&sql[end..*from]);
        if word.starts_with('"') && !is_name {
            plain.push_str(&literal(&unquoted(word)));
        } else {
            plain.push_str(word);
        }
        end = *until;
    }
    plain + &sql[end..]
}

/// Returns a name or a text without its quotes.
pub(super) fn unquoted(word: &str) -> String {
    let inner = |close: char| word[1..].strip_suffix(close).unwrap_or_default();
    match word.chars().next() {
        Some('[') => inner(']').to_owned(),
        Some(quote @ ('"' | '`' | '\'')) => {
            inner(quote).replace(&format!("{quote}{quote}"), &quote.to_string())
        }
        _ => word.to_owned(),
    }
}

/// Returns the length of what begins here, and whether it means anything.
fn token(sql: &str, first: char) -> (usize, bool) {
    let until = |end: &str, from: usize| sql[from..].find(end).map_or(sql.len(), |at| from + at + end.len());
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    match first {
        _ if sql.starts_with("--") => (until("\n", 2), false),
        _ if sql.starts_with("/*") => (until("*/", 2), false),
        _ if first.is_whitespace() => (first.len_utf8(), false),
        '[' => (until("]", 1), true),
        '"' | '`' | '\'' => {
            let mut end = until(&first.to_string(), 1);
            while sql[end..].starts_with(first) {
                end = until(&first.to_string(), end + 1);
            }
            (end, true)
        }
        _ if is_part(first) => (sql.find(|character| !is_part(character)).unwrap_or(sql.len()), true),
        _ => (first.len_utf8(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_split_at_its_commas() {
        let sql = "CREATE TABLE \"a (\"\"b\" (id INT /* , */ DEFAULT (1), [x,y] TEXT GENERATED ALWAYS AS (lower(id) || ',)') STORED UNIQUE,
            z AS ( CAST(id AS TEXT) -- it, too )
            ), CHECK (id > 1)) STRICT";
        let definition = Definition::read(sql);
        let generated: Vec<_> = definition.parts.iter().map(Tokens::generated).collect();
        assert_eq!(generated, [None, Some("lower(id) || ',)'"), Some("CAST(id AS TEXT)"), None]);
        let names: Vec<_> =
            definition.parts.iter().map(|part| unquoted(part.words().next().unwrap())).collect();
        assert_eq!(names, ["id", "x,y", "z", "CHECK"]);
    }

    #[test]
    fn words_in_double_quotes_are_texts_unless_they_are_names() {
        let is_column = |name: &str| ["a", "b"].contains(&name);
        let strict = |sql| with_single_quotes(sql, is_column);
        assert_eq!(
            strict("\"a\" || /* \"c\" */ \"it's\" || 'b' = \"\"\"\""),
            "\"a\" || /* \"c\" */ 'it''s' || 'b' = '\"'"
        );
        let names = "\"lower\"(b) COLLATE \"NOCASE\" = t.\"c\" OR CAST(a AS \"TEXT\") > [c]";
        assert_eq!(strict(names), names);
    }

    #[test]
    fn an_index_has_expressions_and_a_condition() {
        let sql = "CREATE UNIQUE INDEX i ON a(lower(\"n\"\"1\") COLLATE NOCASE DESC, b || 'it''s') WHERE b > 1 AND (c)";
        let definition = Definition::read(sql);
        let indexed: Vec<_> = definition.parts.iter().map(Tokens::indexed).collect();
        assert_eq!(indexed, ["lower(\"n\"\"1\") COLLATE NOCASE", "b || 'it''s'"]);
        assert_eq!(definition.rest.condition(), Some("b > 1 AND (c)"));
        assert_eq!(Definition::read("CREATE INDEX i ON a (b)").rest.condition(), None);
        let called: Vec<_> = Tokens::read("max(1, random ()) + (2)").functions().map(str::to_owned).collect();
        assert_eq!(called, ["max", "random"]);
    }
}
