//! The key: resolves the field and generates its access.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Field, GenericArgument, Generics, Ident, LitStr, PathArguments, PathSegment, Result, Type};

use crate::suggest;

/// The field that is the key.
pub(crate) struct Key<'a> {
    /// Its name.
    name: &'a Ident,
    /// Its type; the `T` of an `Option<T>`.
    inside: &'a Type,
    /// Whether it is an `Option`.
    optional: bool,
}

impl<'a> Key<'a> {
    /// Returns the field of `event` that `key` names.
    pub(crate) fn find(event: &Ident, key: &LitStr, fields: &[&'a Field]) -> Result<Self> {
        let (name, field_type) = named_field(event, key, fields)?;
        let option = option_argument(field_type);
        Ok(Self { name, inside: option.unwrap_or(field_type), optional: option.is_some() })
    }

    /// Returns the body of `Event::key`.
    pub(crate) fn body(&self) -> TokenStream {
        let name = self.name;
        // The calls that need `Display` have the location of the type: the compiler then reports a missing `Display`
        // at the field and not at the derive. Names are still resolved at the derive.
        let place = Span::call_site().located_at(self.inside.span());
        match (self.optional, is_text(self.inside)) {
            (false, true) => quote! {
                // The coercion makes `&str` from every type that dereferences to it.
                let key: &str = &self.#name;
                ::std::option::Option::Some(::std::borrow::Cow::Borrowed(key))
            },
            (false, false) => {
                let formatted = quote_spanned!(place=> ::std::string::ToString::to_string(key));
                quote! {
                    let key = &self.#name;
                    ::std::option::Option::Some(::std::borrow::Cow::Owned(#formatted))
                }
            }
            (true, true) => quote! {
                ::std::option::Option::map(
                    ::std::option::Option::as_deref(&self.#name),
                    ::std::borrow::Cow::Borrowed,
                )
            },
            (true, false) => {
                let formatted = quote_spanned!(place=> ::std::string::ToString::to_string(key));
                quote! {
                    ::std::option::Option::map(
                        ::std::option::Option::as_ref(&self.#name),
                        |key| ::std::borrow::Cow::Owned(#formatted),
                    )
                }
            }
        }
    }

    /// Returns the type that must be `Display`, if that depends on a type parameter.
    pub(crate) fn formatted_parameter(&self, generics: &Generics) -> Option<&'a Type> {
        let mut words = ungrouped(self.inside).to_token_stream().into_iter();
        words
            .any(|word| match word {
                TokenTree::Ident(word) => generics.type_params().any(|parameter| parameter.ident == word),
                _ => false,
            })
            .then_some(self.inside)
    }
}

/// Returns the name and the type of the field that `key` names, with or without `r#`.
fn named_field<'a>(event: &Ident, key: &LitStr, fields: &[&'a Field]) -> Result<(&'a Ident, &'a Type)> {
    let wanted = key.value();
    let plain = wanted.strip_prefix("r#").unwrap_or(&wanted);
    let mut names = Vec::with_capacity(fields.len());
    for &field in fields {
        let Some(name) = &field.ident else { continue };
        let plain_name = name.unraw().to_string();
        if plain_name == plain {
            return Ok((name, &field.ty));
        }
        names.push(plain_name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let event = event.unraw();
    let text = if let Some((first, _)) = wanted.split_once('.') {
        let instead = suggest::nearest(first, &names).or(names.first().copied());
        let instead = instead.map(|name| format!(", for example `{name}`")).unwrap_or_default();
        format!(
            "the key `{wanted}` is a path into a field, which is not supported: \
             name a field of `{event}` itself{instead}"
        )
    } else if names.is_empty() {
        format!("the key `{wanted}` names no field: `{event}` has none, so leave `key` out")
    } else if wanted.is_empty() {
        format!(
            "the key is empty: name one of the fields of `{event}`, {}, or leave `key` out",
            suggest::listed(&names)
        )
    } else {
        let noun = if names.len() == 1 { "field is" } else { "fields are" };
        format!(
            "the key `{wanted}` names no field of `{event}`: its {noun} {}{}",
            suggest::listed(&names),
            suggest::did_you_mean(plain, &names)
        )
    };
    Err(Error::new(key.span(), text))
}

/// Returns the `T` of `Option<T>` as written: a macro cannot resolve types.
fn option_argument(field_type: &Type) -> Option<&Type> {
    let segment = last_segment(field_type)?;
    if segment.ident == "Option" { only_argument(segment) } else { None }
}

/// Returns whether the type, as written, is text that can be borrowed as `&str`.
///
/// A text type under another name is formatted instead, which costs an allocation.
fn is_text(field_type: &Type) -> bool {
    if let Type::Reference(reference) = ungrouped(field_type) {
        return is_str(&reference.elem);
    }
    let Some(segment) = last_segment(field_type) else { return false };
    match segment.ident.to_string().as_str() {
        "String" => segment.arguments.is_none(),
        "Box" | "Arc" | "Cow" => only_argument(segment).is_some_and(is_str),
        _ => false,
    }
}

/// Returns whether the type is `str`.
fn is_str(field_type: &Type) -> bool {
    last_segment(field_type).is_some_and(|segment| segment.ident == "str")
}

/// Returns the last segment of a path into the standard library: `Option<T>` of `std::option::Option<T>`.
fn last_segment(field_type: &Type) -> Option<&PathSegment> {
    let Type::Path(path) = ungrouped(field_type) else { return None };
    let segments = &path.path.segments;
    // A single name counts as the one of the prelude; `names::String` is the author's own type.
    let standard = segments.len() == 1
        || segments
            .first()
            .is_some_and(|first| ["std", "core", "alloc"].iter().any(|name| first.ident == name));
    if standard && path.qself.is_none() { segments.last() } else { None }
}

/// Returns the one type argument of a segment, lifetimes not counted.
fn only_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    });
    match (types.next(), types.next()) {
        (Some(argument), None) => Some(argument),
        _ => None,
    }
}

/// Returns the type without the invisible groups of `macro_rules!` and without parentheses.
fn ungrouped(field_type: &Type) -> &Type {
    match field_type {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        _ => field_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_recognised_by_how_it_is_written() {
        for (text, expected) in [
            ("String", true),
            ("std::string::String", true),
            ("(String)", true),
            ("&'static str", true),
            ("Box<str>", true),
            ("std::sync::Arc<str>", true),
            ("Cow<'static, str>", true),
            ("Arc<String>", false),
            ("u64", false),
            ("OrderId", false),
            ("Vec<String>", false),
            ("<T as Named>::String", false),
            ("names::String", false),
        ] {
            let parsed: Type = syn::parse_str(text).expect(text);
            assert_eq!(is_text(&parsed), expected, "{text}");
        }
    }

    #[test]
    fn an_option_is_recognised_under_every_path() {
        for text in ["Option<u64>", "std::option::Option<u64>", "::core::option::Option<u64>"] {
            let parsed: Type = syn::parse_str(text).expect(text);
            assert!(option_argument(&parsed).is_some(), "{text}");
        }
        for text in ["Vec<u64>", "u64", "Option", "[u8; 4]", "maybe::Option<u64>"] {
            let parsed: Type = syn::parse_str(text).expect(text);
            assert!(option_argument(&parsed).is_none(), "{text}");
        }
    }
}
