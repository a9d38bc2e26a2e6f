//! Expands the struct to the impl.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Generics, Result, WherePredicate, parse_quote};

use crate::attribute::{self, EventAttribute};
use crate::key::Key;
use crate::problems::Problems;
use crate::{grammar, wire_names};

/// Returns the impl of `messagekit::Event`, or all problems of the struct.
pub(crate) fn event_impl(input: &DeriveInput) -> Result<TokenStream> {
    // If the item cannot be an event at all, other problems do not matter.
    let fields = named_fields(input)?;
    let mut problems = Problems::default();
    for lifetime in input.generics.lifetimes() {
        let name = &lifetime.lifetime;
        problems.push_at(
            name.span(),
            format!(
                "an event owns its data, so it has no lifetime `{name}`: \
                 write owned field types, for example `String` for `&{name} str`"
            ),
        );
    }
    let attribute = EventAttribute::of(input, &mut problems);
    attribute::refuse_on_fields(fields.iter().copied(), &mut problems);
    wire_names::check(input, &fields, &mut problems);
    let key = match &attribute.key {
        Some(name) => problems.note(Key::find(&input.ident, name, &fields)),
        None => None,
    };
    problems.into_result()?;
    Ok(generate(input, &attribute, key.as_ref()))
}

/// Returns the fields of a struct that is a JSON object; rejects everything else.
fn named_fields(input: &DeriveInput) -> Result<Vec<&Field>> {
    let name = input.ident.unraw();
    let text = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Ok(fields.named.iter().collect()),
            Fields::Unit => format!(
                "the unit struct `{name}` is `null` in JSON, and an event is an object: write `struct {name} {{}}`"
            ),
            Fields::Unnamed(_) => format!(
                "the tuple struct `{name}` is an array or a single value in JSON, and an event is an object: \
                 write named fields, for example `struct {name} {{ order_id: String }}`"
            ),
        },
        Data::Enum(_) => format!(
            "the enum `{name}` cannot be an event: an event type belongs to one struct, so that its readers \
             know what arrives; write one struct for each variant and derive `Event` for each"
        ),
        Data::Union(_) => format!(
            "the union `{name}` cannot be an event: it has no JSON form; write a struct with named fields"
        ),
    };
    Err(Error::new(input.ident.span(), text))
}

/// Generates the impl from an attribute without problems.
fn generate(input: &DeriveInput, attribute: &EventAttribute, key: Option<&Key<'_>>) -> TokenStream {
    let name = &input.ident;
    let event_type = attribute.event_type.as_deref().unwrap_or_default();
    let topic = attribute.topic.as_deref().unwrap_or_else(|| grammar::default_topic(event_type));
    // The trait has defaults for omitted values.
    let version = attribute.version.as_deref().map(|version| quote!(const VERSION: &'static str = #version;));
    let source = attribute.source.as_deref().map(|source| {
        quote! {
            const SOURCE: ::std::option::Option<&'static str> = ::std::option::Option::Some(#source);
        }
    });
    let earlier = attribute.upcast_from.as_ref().map(|from| {
        // What is wrong with the two events, such as a conversion that is missing, shows at the name.
        quote_spanned! {from.span()=>
            const EARLIER: ::std::option::Option<&'static ::messagekit::event::EarlierVersion> =
                ::std::option::Option::Some(&::messagekit::event::EarlierVersion::of::<Self, #from>());

            fn read_earlier(
                data: ::messagekit::event::EarlierData<'_>,
            ) -> ::std::result::Result<Self, ::messagekit::Error> {
                data.upcast::<#from, Self>()
            }
        }
    });
    // The versions of a generic event are compared when it is used.
    let compared = (earlier.is_some() && input.generics.params.is_empty())
        .then(|| quote!(const _: () = { let _ = <#name as ::messagekit::Event>::EARLIER; };));
    let key_body = key.map_or_else(|| quote!(::std::option::Option::None), Key::body);
    let generics = with_event_bounds(input, key);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        // A deprecated event is still an event; absolute paths work in every scope.
        #[allow(deprecated, unused_qualifications)]
        impl #impl_generics ::messagekit::Event for #name #type_generics #where_clause {
            const TYPE: &'static str = #event_type;
            const TOPIC: &'static str = #topic;
            #version
            #source
            #earlier

            fn key(&self) -> ::std::option::Option<::std::borrow::Cow<'_, str>> {
                #key_body
            }
        }

        #compared
    }
}

/// Returns the parameters of the struct; a generic one gets the condition that the struct is an event for them.
///
/// The condition is on the struct and not on each parameter. serde's derives put their own bounds on the parameters,
/// so `struct Changed<T>` needs to name none, and a `T` bound twice would be ambiguous there.
fn with_event_bounds(input: &DeriveInput, key: Option<&Key<'_>>) -> Generics {
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_none() {
        return generics;
    }
    let name = &input.ident;
    let (_, type_generics, _) = input.generics.split_for_impl();
    let serde = wire_names::serde_path(input);
    let mut bounds: Vec<WherePredicate> = vec![parse_quote! {
        #name #type_generics: #serde::Serialize
            + #serde::de::DeserializeOwned
            + ::std::marker::Send
            + ::std::marker::Sync
            + 'static
    }];
    if let Some(formatted) = key.and_then(|key| key.formatted_parameter(&input.generics)) {
        bounds.push(parse_quote!(#formatted: ::std::fmt::Display));
    }
    generics.make_where_clause().predicates.extend(bounds);
    generics
}
