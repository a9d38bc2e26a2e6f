//! Lists of one or several databases.

use std::borrow::Cow;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::{
    AuditRecord, ConsumerStatus, FailedMessageGroup, FailedMessageHead, FailedMessageTotal, ReplayJob,
};
use messagekit::relay::RejectedEvent;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::InDatabase;
use crate::app::App;
use crate::database::{Database, Unreachable, Which, ask_all};
use crate::next_link::next_link;
use crate::problem::Problem;

/// An entry of a [`List`].
pub trait Listed {
    /// The field of the entries in the document.
    const FIELD: &'static str;

    /// Whether the list is read page by page, with `next` on all pages but the last.
    const HAS_PAGES: bool;
}

/// An entry of a list that is read page by page: it has a number in its database, and a time.
pub(crate) trait Paged: Listed {
    fn number(&self) -> i64;
    fn time(&self) -> Timestamp;
}

/// The document of a list: its entries, the databases that did not answer, and the next page.
///
/// ```
/// use messagekit::operations::FailedMessageHead;
/// use messagekit_admin::List;
///
/// let page = List::<FailedMessageHead>::of("shop", Vec::new(), Some(7));
/// let document = serde_json::to_value(page)?;
/// assert_eq!(document, serde_json::json!({"failed_messages": [], "unreachable": [], "next": "7"}));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct List<T> {
    /// The entries.
    pub entries: Vec<InDatabase<T>>,
    /// The databases that did not answer; their entries are missing here.
    pub unreachable: Vec<Unreachable>,
    /// Where the next page begins: its position, and over HTTP the link to it; absent on the last page.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Creates the list of one database; `next` is the number at which the next page begins.
    pub fn of(database: &str, entries: Vec<T>, next: Option<i64>) -> Self {
        Self {
            entries: InDatabase::all(database, entries),
            unreachable: Vec::new(),
            next: next.map(|number| number.to_string()),
        }
    }

    /// Makes the position of the next page a link: the same query from there.
    pub(crate) fn linked(mut self, query: Option<&str>, parameter: &str) -> Self {
        self.next = self.next.map(|position| next_link(query, parameter, &position));
        self
    }
}

impl<T: Listed + Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry(T::FIELD, &self.entries)?;
        fields.serialize_entry("unreachable", &self.unreachable)?;
        if let Some(next) = &self.next {
            fields.serialize_entry("next", next)?;
        }
        fields.end()
    }
}

impl<T: Listed + ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        let array = |name: Cow<'_, str>| ArrayBuilder::new().items(Ref::from_schema_name(name));
        let next = ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some("The link to the next page, relative to this one; absent on the last page"));
        let unreachable = array(Unreachable::name())
            .description(Some("Databases that did not answer; their entries are missing here"));
        let list = ObjectBuilder::new()
            .property(T::FIELD, array(schema_of_entry::<T>().into()))
            .required(T::FIELD)
            .property("unreachable", unreachable)
            .required("unreachable");
        if T::HAS_PAGES { list.property("next", next).into() } else { list.into() }
    }
}

impl<T: Listed + ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("List_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((schema_of_entry::<T>(), InDatabase::<T>::schema()));
        InDatabase::<T>::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
        schemas.push((Unreachable::name().into_owned(), Unreachable::schema()));
    }
}

/// Returns the name that utoipa gives the schema of an entry.
fn schema_of_entry<T: ToSchema>() -> String {
    format!("{}_{}", InDatabase::<T>::name(), T::name())
}

/// Answers with all entries of the databases that a request means, by database.
pub(crate) async fn list_all<'a, T, F>(
    app: &'a App,
    which: &Which,
    read: impl Fn(&'a Database) -> F,
) -> Result<List<T>, Problem>
where
    F: Future<Output = Result<Vec<T>, Error>>,
{
    let answers = ask_all(app.databases.meant(which.database.as_deref())?, read).await?;
    let answered = answers.answered.into_iter();
    let entries = answered.flat_map(|(database, entries)| InDatabase::all(&database.name, entries)).collect();
    Ok(List { entries, unreachable: answers.unreachable, next: None })
}

macro_rules! listed {
    ($($list:ident of $entry:ty: $field:literal $pages:literal $(, $number:ident, $time:ident)?;)+) => {
        $(pub(crate) type $list = List<$entry>;

        impl Listed for $entry {
            const FIELD: &'static str = $field;
            const HAS_PAGES: bool = $pages;
        }
        $(impl Paged for $entry {
            fn number(&self) -> i64 {
                self.$number
            }

            fn time(&self) -> Timestamp {
                self.$time
            }
        })?)+
    };
}

listed! {
    FailedMessageList of FailedMessageHead: "failed_messages" true, id, set_aside_at;
    TotalList of FailedMessageTotal: "totals" false;
    GroupList of FailedMessageGroup: "groups" false;
    AuditList of AuditRecord: "actions" true, id, at;
    ReplayList of ReplayJob: "replays" true, id, ordered_at;
    RejectedList of RejectedEvent: "events" true;
    ConsumerList of ConsumerStatus: "consumers" false;
}
