//! What a query asks of a view.

use messagekit_topic_store::TopicView;

/// A query of one view: it joins, groups and computes nothing.
///
/// A column is always one of [`TopicView::columns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// The view.
    pub view: TopicView,
    /// The columns of the answer.
    pub columns: Columns,
    /// Only rows for which all of these are true.
    pub conditions: Vec<Condition>,
    /// The order of the rows: by the first of these, among equals by the next.
    pub order: Vec<Order>,
    /// The most rows.
    pub limit: Option<u32>,
}

/// The columns of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// `*`
    All,
    /// These, at least one.
    Named(Vec<&'static str>),
}

/// Something that is true of a row or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// A column beside a value. It is false of a column that is NULL.
    Compare {
        /// The column.
        column: &'static str,
        /// How they are compared.
        comparison: Comparison,
        /// The value.
        value: Literal,
    },
    /// `column IS NULL`
    IsNull {
        /// The column.
        column: &'static str,
    },
    /// `column IS NOT NULL`
    IsNotNull {
        /// The column.
        column: &'static str,
    },
}

/// How a column is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`, also written `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

messagekit::adapter::words! {
    Comparison {
        Equal: "=",
        NotEqual: "<>",
        Less: "<",
        LessOrEqual: "<=",
        Greater: ">",
        GreaterOrEqual: ">=",
    }
}

/// A value that is written in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `TRUE` or `FALSE`
    Boolean(bool),
}

/// A column that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: &'static str,
    /// From the greatest value on: `DESC`.
    pub is_descending: bool,
}
