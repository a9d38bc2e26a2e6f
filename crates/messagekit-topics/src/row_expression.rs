//! Parses expressions over a row: they run inside the writes of other programs, so they are nothing but expressions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::RowExpression;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArguments, Ident, InTarget, ObjectNamePart, Value,
    Visit, Visitor, visit_expressions_mut,
};
use sqlparser::dialect::{Dialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::Token;

/// The most bytes of an expression.
pub const MAX_EXPRESSION_BYTES: usize = 4_000;

/// How deep the parser may go: a level takes up to 80 kB of the stack where it is not optimised, and a thread has 2 MiB.
const DEEPEST: usize = 16;

/// How many operators may stand on each other, as two of them do in `a AND b AND c`. To print what was read takes up to 8 kB of the
/// stack for each.
const MOST_LEVELS: usize = 100;

/// Parses a single expression. Columns are written bare, or behind `OLD` and `NEW`.
pub(crate) fn parse(dialect: &dyn Dialect, text: &str) -> Result<RowExpression, Error> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(refused(text, format!("is longer than {MAX_EXPRESSION_BYTES} bytes")));
    }
    let mut expression =
        tree(dialect, text).map_err(|error| refused(text, "cannot be parsed".to_owned()).caused_by(error))?;
    let mut functions = BTreeSet::new();
    let is_sqlite = dialect.is::<SQLiteDialect>();
    let checked =
        visit_expressions_mut(&mut expression, |part| match check(part, &mut functions, is_sqlite) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => ControlFlow::Break(why),
        });
    if let ControlFlow::Break(why) = checked {
        return Err(refused(text, why));
    }
    let rendered = expression.to_string();
    // What is written must be what was parsed, to the last quote: the text becomes a part of a function.
    if tree(dialect, &rendered).ok().as_ref() != Some(&expression) {
        return Err(refused(text, "cannot be written again as it was read".to_owned()));
    }
    Ok(RowExpression { text: text.trim().to_owned(), expression: rendered, functions })
}

/// Parses a single expression, of which only the form is known. Literals stay as they are written: an unescaped one could be quoted in another
/// way.
///
/// # Errors
/// An error of sqlparser, also for an expression that is too deep.
pub fn tree(dialect: &dyn Dialect, text: &str) -> Result<Expr, ParserError> {
    let options = ParserOptions::new().with_unescape(false);
    let parser = Parser::new(dialect).with_options(options).with_recursion_limit(DEEPEST);
    let mut parser = parser.try_with_sql(text)?;
    let expression = parser.parse_expr()?;
    parser.expect_token(&Token::EOF)?;
    match expression.visit(&mut Levels(0)) {
        ControlFlow::Continue(()) => Ok(expression),
        ControlFlow::Break(()) => Err(ParserError::RecursionLimitExceeded),
    }
}

/// Ends at an expression that stands too deep in others.
struct Levels(usize);

impl Visitor for Levels {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > MOST_LEVELS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

/// The text itself is configuration, and no payload.
fn refused(text: &str, why: String) -> Error {
    let shown: String = text.chars().take(200).collect();
    Error::new(
        ErrorKind::InvalidConfiguration,
        format!("expression {why}: write one over columns, NEW.x and OLD.x"),
    )
    .with("expression", shown)
}

/// Checks one part of an expression, and says whose column an identifier is. Parts come before the whole: none is seen again.
fn check(part: &mut Expr, functions: &mut BTreeSet<String>, is_sqlite: bool) -> Result<(), String> {
    match part {
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) if is_sqlite => {
            Err("has IS DISTINCT FROM, which older versions of SQLite do not know: write IS NOT, or IS"
                .to_owned())
        }
        Expr::Identifier(column) => {
            *part = Expr::CompoundIdentifier(vec![Ident::new("this_row"), column.clone()]);
            Ok(())
        }
        Expr::CompoundIdentifier(names) => name_row(names),
        Expr::Function(function) => {
            let name = plain_call(function)?;
            if is_sqlite {
                check_arguments(&name, function)?;
            }
            functions.insert(name);
            Ok(())
        }
        Expr::BinaryOp { op: BinaryOperator::Match | BinaryOperator::Regexp, .. } => {
            Err("has MATCH or REGEXP, which no row can be asked for".to_owned())
        }
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            Err("has a parameter".to_owned())
        }
        Expr::Value(value) if !is_plain(&value.value) => Err(format!("has the literal {value}")),
        Expr::BinaryOp {
            op: BinaryOperator::PGCustomBinaryOperator(_) | BinaryOperator::Custom(_), ..
        } => Err("names the schema of an operator".to_owned()),
        Expr::Cast { data_type: DataType::Custom(..), .. } => {
            Err("casts to a type that is not one of SQL".to_owned())
        }
        Expr::Value(_)
        | Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Nested(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::In { target: InTarget::List(_), .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::Case { .. }
        | Expr::Cast { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Position { .. } => Ok(()),
        other => Err(format!("holds {other}")),
    }
}

/// Says whose column a name is that stands behind `NEW` or `OLD`.
fn name_row(names: &mut [Ident]) -> Result<(), String> {
    let [row, _] = names else {
        return Err(format!("names {}", join(names)));
    };
    match row.value.to_ascii_lowercase().as_str() {
        "new" => *row = Ident::new("new_row"),
        "old" => *row = Ident::new("old_row"),
        _ => return Err(format!("names {}, which is neither OLD nor NEW", join(names))),
    }
    Ok(())
}

/// Returns the name of a function that is called with plain arguments, in lower case.
fn plain_call(function: &Function) -> Result<String, String> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return Err(format!("calls {}", function.name));
    };
    let is_plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
    if !is_plain || matches!(function.args, FunctionArguments::Subquery(_)) {
        return Err(format!("calls {name} in another way than with plain arguments"));
    }
    Ok(name.value.to_ascii_lowercase())
}

/// Refuses calls that mean something else with fewer arguments, or that older versions of SQLite do not know.
fn check_arguments(name: &str, function: &Function) -> Result<(), String> {
    let FunctionArguments::List(list) = &function.args else { return Ok(()) };
    match (name, list.args.len()) {
        ("max" | "min", 0 | 1) => {
            Err(format!("calls {name} with one argument, which is a value of many rows"))
        }
        ("iif", 0..=2) => Err("calls iif with less than three arguments".to_owned()),
        _ => Ok(()),
    }
}

/// Returns whether a literal is one of SQL, without escapes of its own.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number(..) | Value::Boolean(_) | Value::Null => true,
        Value::SingleQuotedString(text) => !text.contains('\\'),
        _ => false,
    }
}

fn join(names: &[Ident]) -> String {
    names.iter().map(Ident::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    fn parsed(text: &str) -> Result<RowExpression, Error> {
        parse(&PostgreSqlDialect {}, text)
    }

    #[test]
    fn columns_stand_behind_their_row() {
        for (text, expected) in [
            ("total > 100", "this_row.total > 100"),
            ("OLD.status <> new.\"Status\"", "old_row.status <> new_row.\"Status\""),
            (
                "lower(name) LIKE 'a%' AND id IN (1, 2)",
                "lower(this_row.name) LIKE 'a%' AND this_row.id IN (1, 2)",
            ),
            ("(data ->> 'kind') = 'x'", "(this_row.data ->> 'kind') = 'x'"),
            ("a BETWEEN 1 AND 2 OR b IS NULL", "this_row.a BETWEEN 1 AND 2 OR this_row.b IS NULL"),
            ("CASE WHEN a = 1 THEN true ELSE false END", "CASE WHEN this_row.a = 1 THEN true ELSE false END"),
        ] {
            assert_eq!(parsed(text).unwrap().expression, expected, "{text}");
        }
        for same in
            ["name = 'a''''b'", "name = ''''", "\"a\"\"b\" = 'it''s'", "name::text = '' OR id::bigint = -1"]
        {
            let rendered = parsed(same).unwrap().expression.replace("this_row.", "");
            assert_eq!(rendered.to_lowercase(), same.to_lowercase());
        }
        let functions = parsed("coalesce(UPPER(name), 'x') = 'X'").unwrap().functions;
        assert_eq!(functions.into_iter().collect::<Vec<_>>(), ["coalesce", "upper"]);
    }

    #[test]
    fn sqlite_has_rules_of_its_own() {
        let parsed = |text: &str| parse(&SQLiteDialect {}, text);
        for text in
            ["a IS NOT 'paid'", "max(a, 1) > 2", "iif(a > 1, b, NULL) = 2", "a GLOB 'x*'", "`a` = [b]"]
        {
            parsed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        for text in [
            "max(a) > 1",
            "min(a) = 1",
            "a MATCH 'x'",
            "a REGEXP 'x'",
            "iif(a, b) = 1",
            "a IS DISTINCT FROM b",
        ] {
            assert_eq!(parsed(text).unwrap_err().kind(), ErrorKind::InvalidConfiguration, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_over_a_row_is_refused() {
        for text in [
            "",
            "true; DROP TABLE orders",
            "true) OR (true",
            "id IN (SELECT id FROM other)",
            "EXISTS (SELECT 1)",
            "(SELECT 1) = 1",
            "other.total > 1",
            "shop.orders.total > 1",
            "pg_catalog.lower(name) = 'x'",
            "count(*) OVER () > 1",
            "total > $1",
            "total > ?",
            "total = ANY (ARRAY[1, 2])",
            "extract(year FROM at) = 2026",
            "true -- comment\n; SELECT 1",
            "name = '\\''); DROP TABLE orders; --'",
            "name = E'\\'); DROP TABLE orders; --'",
            "name = $$a$$",
            "a OPERATOR(public.@@@) b",
            "a = 'x'::shop.mood",
            "a = 'x'::mood",
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{text}");
        }
        assert!(parsed(&format!("{}1{}", "(".repeat(200), ")".repeat(200))).is_err(), "too deep");
        // The stack of a thread would end at these.
        for (part, times) in [("NOT ", 900), ("a = NOT ", 400), ("a + ", 900), ("- ", 1_900)] {
            assert!(parsed(&format!("{}a", part.repeat(times))).is_err(), "too deep: {part}");
        }
        assert!(parsed(&format!("{}a", "a AND ".repeat(90))).is_ok());
        assert!(parsed(&"a AND ".repeat(2_000)).is_err(), "too long");
    }
}
