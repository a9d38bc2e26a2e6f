//! Enums whose values are words.

/// Writes the words of an enum once: `ALL` in the order given here, `as_str` and `Display`. A comment above the name says what
/// depends on the order. Behind a noun, `FromStr` reads a word
/// again, and refuses every other text with [`ErrorKind::InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration).
///
/// ```
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Form { Lines, Table }
///
/// messagekit::adapter::words! {
///     Form, "form" {
///         Lines: "lines",
///         Table: "table",
///     }
/// }
///
/// assert_eq!("table".parse::<Form>()?, Form::Table);
/// assert_eq!("row".parse::<Form>().unwrap_err().to_string(), "form \"row\" is none of lines, table");
/// assert_eq!(Form::ALL.map(Form::as_str), ["lines", "table"]);
/// # Ok::<(), messagekit::Error>(())
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __words {
    ($(#[$order:meta])* $name:ident $(, $noun:literal)? { $($value:ident: $word:literal,)+ }) => {
        impl $name {
            /// Every value, in their order.
            $(#[$order])*
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$value),+];

            /// Returns the word that tables, documents, metrics and the command line use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $(impl ::std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> ::std::result::Result<Self, $crate::Error> {
                Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
                    let known = Self::ALL.map(Self::as_str).join(", ");
                    let text = ::std::format!("{} {text:?} is none of {known}", $noun);
                    $crate::Error::new($crate::ErrorKind::InvalidConfiguration, text)
                })
            }
        })?
    };
}
