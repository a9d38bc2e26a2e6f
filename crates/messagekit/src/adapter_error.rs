//! The error type of an adapter's crate.

/// Declares the opaque error type of an adapter around [`Error`](crate::Error), with its kind, `is_transient`, and conversions in both
/// directions. Only a local type can implement `From` for the errors of a client, which lets `?` convert them.
///
/// ```
/// messagekit::adapter::adapter_error! {
///     /// A failure of the database.
///     pub struct Error;
/// }
///
/// impl From<std::io::Error> for Error {
///     fn from(error: std::io::Error) -> Self {
///         let text = "database does not answer";
///         Self::from(messagekit::Error::new(messagekit::ErrorKind::Unavailable, text).caused_by(error))
///     }
/// }
///
/// let error = Error::from(std::io::Error::other("reset"));
/// assert!(error.is_transient());
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __adapter_error {
    ($(#[$attribute:meta])* pub struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone)]
        pub struct $name($crate::Error);

        impl $name {
            /// Returns the kind, which decides what a caller can do.
            pub fn kind(&self) -> $crate::ErrorKind {
                self.0.kind()
            }

            /// Returns whether an unchanged retry may succeed later.
            pub fn is_transient(&self) -> bool {
                self.0.is_transient()
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl ::std::error::Error for $name {
            fn source(&self) -> ::core::option::Option<&(dyn ::std::error::Error + 'static)> {
                self.0.source()
            }
        }

        impl From<$crate::Error> for $name {
            fn from(error: $crate::Error) -> Self {
                Self(error)
            }
        }

        impl From<$name> for $crate::Error {
            fn from(error: $name) -> Self {
                error.0
            }
        }
    };
}
