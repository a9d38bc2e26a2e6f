//! The `name`, `name = value` and `name(...)` entries of an attribute, for `#[event]` and `#[serde]` alike.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, LitStr, Result, Token, Type};

/// One entry of an attribute.
pub(crate) struct Entry {
    /// The name, which may be a keyword: `type`.
    pub(crate) name: Ident,
    /// Whether an `=` follows the name.
    assigned: bool,
    /// The tokens after the name and the `=`, up to the next comma.
    value: TokenStream,
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Token![,]) {
            return Err(input.error("a comma too many: one goes between two entries"));
        }
        let name = input
            .call(Ident::parse_any)
            .map_err(|error| Error::new(error.span(), "a name goes here: `name = \"value\"`"))?;
        let assigned = input.parse::<Option<Token![=]>>()?.is_some();
        let mut value = TokenStream::new();
        while !input.is_empty() && !input.peek(Token![,]) {
            value.extend([input.parse::<TokenTree>()?]);
        }
        Ok(Self { name, assigned, value })
    }
}

impl Entry {
    /// Parses the entries between the parentheses of an attribute.
    pub(crate) fn list(tokens: TokenStream) -> Result<Vec<Self>> {
        Ok(Punctuated::<Self, Token![,]>::parse_terminated.parse2(tokens)?.into_iter().collect())
    }

    /// Returns whether the entry has this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.unraw() == name
    }

    /// Returns the string of `name = "string"`; `None` for every other form.
    pub(crate) fn text(&self) -> Option<LitStr> {
        match syn::parse2::<Lit>(self.value.clone()) {
            Ok(Lit::Str(text)) if self.assigned && text.suffix().is_empty() => Some(text),
            _ => None,
        }
    }

    /// Returns the entries inside `name(...)`; none for every other form.
    pub(crate) fn nested(&self) -> Vec<Self> {
        let mut tokens = self.value.clone().into_iter();
        match (self.assigned, tokens.next(), tokens.next()) {
            (false, Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::Parenthesis => {
                Self::list(group.stream()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the type of `name = Type`, or an error that shows how to write one.
    pub(crate) fn required_type(&self, example: &str) -> Result<Type> {
        let name = self.name.unraw();
        if self.value.is_empty() {
            let text = format!("`{name}` has no value: write for example `{name} = {example}`");
            return Err(Error::new(self.name.span(), text));
        }
        if self.assigned
            && let Ok(found) = syn::parse2::<Type>(self.value.clone())
        {
            return Ok(found);
        }
        let own = self.text().map(|text| text.value()).filter(|own| syn::parse_str::<Type>(own).is_ok());
        let instead = match own {
            Some(own) => format!("write `{name} = {own}`, without quotes"),
            None => format!("write for example `{name} = {example}`"),
        };
        Err(Error::new_spanned(&self.value, format!("the value of `{name}` is not a type: {instead}")))
    }

    /// Returns the string of `name = "string"`, or an error that shows how to write one.
    ///
    /// The error shows the author's own value in quotes if `fits` accepts it, otherwise `example`.
    pub(crate) fn required_text(&self, example: &str, fits: impl Fn(&str) -> bool) -> Result<LitStr> {
        if let Some(text) = self.text() {
            return Ok(text);
        }
        let name = self.name.unraw();
        let mut tokens = self.value.clone().into_iter();
        let own = match (tokens.next(), tokens.next()) {
            (None, _) => {
                let text = format!("`{name}` has no value: write for example `{name} = \"{example}\"`");
                return Err(Error::new(self.name.span(), text));
            }
            (Some(TokenTree::Literal(text)), Some(TokenTree::Ident(next)))
                if self.assigned && text.to_string().starts_with('"') =>
            {
                let text = format!("a comma is missing: write `{name} = {text}, {next} ...`");
                return Err(Error::new(next.span(), text));
            }
            // `name("value")` lacks only the `=`.
            (Some(TokenTree::Group(group)), None) => {
                syn::parse2::<LitStr>(group.stream()).ok().map(|text| text.value())
            }
            (Some(token), None) => Some(token.to_string()),
            _ => None,
        };
        let own = own.filter(|own| !own.contains(['"', '\\']) && fits(own));
        let instead = match own {
            Some(own) => format!("write `{name} = \"{own}\"`"),
            None => format!("write for example `{name} = \"{example}\"`"),
        };
        Err(Error::new_spanned(
            &self.value,
            format!("the value of `{name}` is not a string literal: {instead}"),
        ))
    }
}
