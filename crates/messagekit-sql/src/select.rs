//! The statements that read what the database knows of its topics.

use messagekit_topic_store::TopicView;

use crate::command::Command;
use crate::consume::LIMIT;
use crate::cursor::Cursor;
use crate::error::SyntaxError;
use crate::query::{Columns, Comparison, Condition, Literal, Order, Select};
use crate::token::{Token, TokenKind, quoted};

/// What to do about a query of anything else.
const READABLE: &str =
    "only system.topics, system.topic_offsets and system.routes can be read, by their columns";

const COLUMN: &str = "a column";

/// Reads what stands behind `SHOW`.
pub(crate) fn show(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    if cursor.eat("TOPICS") {
        return Ok(Command::ShowTopics);
    }
    cursor.expect("ROUTES")?;
    let topic = if cursor.eat("FOR") { Some(cursor.topic()?) } else { None };
    Ok(Command::ShowRoutes { topic })
}

/// Reads what stands behind `SELECT`.
pub(crate) fn select(cursor: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    // Which columns there are is known when the view is.
    let names = column_names(cursor).map_err(|error| error.with_cure(READABLE))?;
    cursor.expect("FROM").map_err(|error| error.with_cure(READABLE))?;
    let view = view(cursor)?;
    let columns = match names {
        Some(names) => {
            let named = names.into_iter().map(|name| column(cursor, view, name));
            Columns::Named(named.collect::<Result<_, _>>()?)
        }
        None => Columns::All,
    };
    let conditions = if cursor.eat("WHERE") { conditions(cursor, view)? } else { Vec::new() };
    let order = if cursor.eat("ORDER") { order(cursor, view)? } else { Vec::new() };
    let limit = if cursor.eat("LIMIT") { Some(cursor.number(LIMIT)?) } else { None };
    Ok(Command::Select(Select { view, columns, conditions, order, limit }))
}

/// Takes names, or `None` for all columns.
fn column_names<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Vec<Token<'a>>>, SyntaxError> {
    if cursor.eat_symbol("*") {
        return Ok(None);
    }
    let mut names = vec![cursor.name(COLUMN)?];
    while cursor.eat_symbol(",") {
        names.push(cursor.name(COLUMN)?);
    }
    Ok(Some(names))
}

fn view(cursor: &mut Cursor<'_>) -> Result<TopicView, SyntaxError> {
    let first = cursor.peek();
    let expected = "system.topics, system.topic_offsets or system.routes";
    let (parts, end) = cursor.dotted(expected)?;
    let name = parts.iter().map(Token::content).collect::<Vec<_>>().join(".");
    TopicView::ALL.into_iter().find(|view| view.name().eq_ignore_ascii_case(&name)).ok_or_else(|| {
        let whole = Token { text: &cursor.text()[first.offset..end], ..first };
        cursor
            .wrong(whole, expected.to_owned(), quoted(whole.text))
            .with_cure("nothing else can be read here")
    })
}

/// Returns the column of a view that a token names.
fn column(cursor: &Cursor<'_>, view: TopicView, token: Token<'_>) -> Result<&'static str, SyntaxError> {
    let name = token.content();
    let mut columns = view.columns().iter().map(|column| column.name);
    columns.find(|column| column.eq_ignore_ascii_case(&name)).ok_or_else(|| {
        let expected = format!("a column of {}", view.name());
        let names: Vec<_> = view.columns().iter().map(|column| column.name).collect();
        let cure = format!("its columns are {}", names.join(", "));
        cursor.wrong(token, expected, token.shown()).with_cure(cure)
    })
}

/// Takes the name of a column.
fn next_column(cursor: &mut Cursor<'_>, view: TopicView) -> Result<&'static str, SyntaxError> {
    let token = cursor.name(COLUMN)?;
    column(cursor, view, token)
}

fn conditions(cursor: &mut Cursor<'_>, view: TopicView) -> Result<Vec<Condition>, SyntaxError> {
    let mut conditions = vec![condition(cursor, view)?];
    while cursor.eat("AND") {
        conditions.push(condition(cursor, view)?);
    }
    if cursor.peek().is_keyword("OR") {
        return Err(cursor.unexpected().with_cure("conditions are joined by AND alone"));
    }
    Ok(conditions)
}

fn condition(cursor: &mut Cursor<'_>, view: TopicView) -> Result<Condition, SyntaxError> {
    let column = next_column(cursor, view)?;
    if cursor.eat("IS") {
        let is_not = cursor.eat("NOT");
        cursor.expect("NULL")?;
        return Ok(if is_not { Condition::IsNotNull { column } } else { Condition::IsNull { column } });
    }
    let comparison = if cursor.peek().is_symbol("!=") {
        cursor.take();
        Comparison::NotEqual
    } else {
        let mut all = Comparison::ALL.into_iter();
        all.find(|comparison| cursor.eat_symbol(comparison.as_str())).ok_or_else(|| cursor.unexpected())?
    };
    Ok(Condition::Compare { column, comparison, value: literal(cursor)? })
}

fn literal(cursor: &mut Cursor<'_>) -> Result<Literal, SyntaxError> {
    let token = cursor.peek();
    if token.kind == TokenKind::Text {
        cursor.take();
        return Ok(Literal::Text(token.content()));
    }
    for (keyword, value) in [("TRUE", true), ("FALSE", false)] {
        if token.is_keyword(keyword) {
            cursor.take();
            return Ok(Literal::Boolean(value));
        }
    }
    let is_negative = token.is_symbol("-");
    let digits = if is_negative { cursor.peek_at(1) } else { token };
    let is_whole = digits.kind == TokenKind::Number && digits.text.bytes().all(|byte| byte.is_ascii_digit());
    let sign = if is_negative { "-" } else { "" };
    match format!("{sign}{}", digits.text).parse() {
        Ok(number) if is_whole => {
            if is_negative {
                cursor.take();
            }
            cursor.take();
            Ok(Literal::Integer(number))
        }
        _ => {
            let error = cursor.expecting("a string, a whole number, TRUE or FALSE");
            Err(if token.is_keyword("NULL") {
                error.with_cure("write IS NULL or IS NOT NULL")
            } else {
                error
            })
        }
    }
}

fn order(cursor: &mut Cursor<'_>, view: TopicView) -> Result<Vec<Order>, SyntaxError> {
    cursor.expect("BY")?;
    let mut order = Vec::new();
    loop {
        let column = next_column(cursor, view)?;
        let is_descending = cursor.eat("DESC");
        if !is_descending {
            cursor.eat("ASC");
        }
        order.push(Order { column, is_descending });
        if !cursor.eat_symbol(",") {
            return Ok(order);
        }
    }
}
