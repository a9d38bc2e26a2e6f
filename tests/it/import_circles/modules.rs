//! The modules of a crate, and the files that each file imports.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A path of the language in its parts: `crate::a::B` has three.
type Path = Vec<String>;

/// Returns the text of a file, if it exists.
type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The modules of a crate by their paths from its root.
#[derive(Default)]
pub(crate) struct Modules(BTreeMap<Path, Module>);

/// A module without its tests and its comments.
#[derive(Default)]
struct Module {
    file: String,
    /// The names that `use` brings in, with what they stand for and whether they are public. A trait and its macro share one.
    names: BTreeMap<String, Vec<(Path, bool)>>,
    /// The words and the paths outside `use`.
    mentioned: BTreeSet<Path>,
}

impl Modules {
    /// Reads the modules of the crate with a root file.
    pub(crate) fn read(root: &str, read: Read<'_>) -> Self {
        let mut modules = Self::default();
        let folder = root.rsplit_once('/').expect("the file lies in a folder").0;
        modules.read_file(Path::new(), root, folder, read);
        modules
    }

    /// Returns how many modules there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the files that each file imports. A name that is only passed on is no import.
    pub(crate) fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (path, module) in &self.0 {
            let words: BTreeSet<&String> = module.mentioned.iter().map(|path| &path[0]).collect();
            let used = module.names.iter().flat_map(|(name, imports)| {
                let is_used = words.contains(name);
                imports.iter().filter(move |(_, is_public)| is_used || !is_public).map(|(import, _)| import)
            });
            let paths = module.mentioned.iter().filter(|path| path.len() > 1).chain(used);
            let targets = paths.filter_map(|mentioned| self.file_of(path, mentioned, false));
            let others = targets.filter(|file| *file != module.file).map(str::to_owned);
            imports.entry(module.file.clone()).or_default().extend(others);
        }
        imports
    }

    /// Returns the file of this crate that defines what a module names by a path. `is_inside` tells that the path so far
    /// has led to the module.
    fn file_of(&self, module: &[String], path: &[String], is_inside: bool) -> Option<&str> {
        let Some((first, rest)) = path.split_first() else { return Some(&self.0[module].file) };
        let child = [module, std::slice::from_ref(first)].concat();
        match (first.as_str(), self.0[module].names.get(first)) {
            ("crate", _) => self.file_of(&[], rest, true),
            ("self", _) => self.file_of(module, rest, true),
            ("super", _) => self.file_of(&module[..module.len() - 1], rest, true),
            _ if self.0.contains_key(&child) => self.file_of(&child, rest, true),
            (_, Some(imports)) => imports.iter().find_map(|(import, _)| {
                // A crate may have an item of its own name.
                let is_own = import[0] != *first;
                is_own.then(|| self.file_of(module, &[import.as_slice(), rest].concat(), false)).flatten()
            }),
            (_, None) => is_inside.then_some(&self.0[module].file),
        }
    }

    /// Reads a module from its file. Its children lie in the folder.
    fn read_file(&mut self, path: Path, file: &str, folder: &str, read: Read<'_>) {
        let text = read(file).unwrap_or_else(|| panic!("{file} is not there"));
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        self.0.insert(path.clone(), Module { file: file.to_owned(), ..Module::default() });
        self.read_tokens(&path, tokens, folder, read);
    }

    fn read_tokens(&mut self, path: &Path, tokens: TokenStream, folder: &str, read: Read<'_>) {
        let mut tokens = tokens.into_iter().peekable();
        let mut is_public = false;
        while let Some(token) = tokens.next() {
            let module = self.0.get_mut(path).expect("the module is known");
            match token {
                TokenTree::Ident(word) if word == "pub" => {
                    is_public = true;
                    tokens.next_if(|token| matches!(token, TokenTree::Group(_)));
                    continue;
                }
                TokenTree::Ident(word) if word == "mod" => self.read_child(path, &mut tokens, folder, read),
                TokenTree::Ident(word) if word == "use" => module.read_use(&[], is_public, &mut tokens),
                TokenTree::Ident(word) => {
                    module.mentioned.insert(rest_of_path(word.to_string(), &mut tokens));
                }
                TokenTree::Group(group) if is_for_tests(&group.stream()) => skip_item(&mut tokens),
                TokenTree::Group(group) => self.read_tokens(path, group.stream(), folder, read),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            is_public = false;
        }
    }

    /// Reads a child behind the word `mod`: with its body, or from its own file.
    fn read_child(&mut self, path: &Path, tokens: &mut Peekable<IntoIter>, folder: &str, read: Read<'_>) {
        let name = next_text(tokens);
        let folder = format!("{folder}/{name}");
        let child = [path.as_slice(), &[name]].concat();
        if let Some(TokenTree::Group(body)) = tokens.next() {
            self.0.insert(child.clone(), Module { file: self.0[path].file.clone(), ..Module::default() });
            return self.read_tokens(&child, body.stream(), &folder, read);
        }
        let files = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
        let file = files.iter().find(|file| read(file).is_some());
        self.read_file(child, file.unwrap_or_else(|| panic!("{folder}.rs is not there")), &folder, read);
    }
}

impl Module {
    /// Reads what follows the word `use`, or a branch of it.
    fn read_use(&mut self, before: &[String], is_public: bool, tokens: &mut Peekable<IntoIter>) {
        let (mut path, mut name) = (before.to_vec(), None);
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => name = Some(next_text(tokens)),
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(branches) => {
                    let mut branches = branches.stream().into_iter().peekable();
                    while branches.peek().is_some() {
                        self.read_use(&path, is_public, &mut branches);
                    }
                    path.clear();
                }
                TokenTree::Punct(sign) if [',', ';'].contains(&sign.as_char()) => break,
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        path.pop_if(|last| last == "self");
        if let Some(last) = path.last().cloned() {
            self.names.entry(name.unwrap_or(last)).or_default().push((path, is_public));
        }
    }
}

/// Returns a path from its first word on.
fn rest_of_path(first: String, tokens: &mut Peekable<IntoIter>) -> Path {
    let mut path = vec![first];
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ':' && sign.spacing() == Spacing::Joint);
    while tokens.next_if(is_colon).is_some() {
        tokens.next();
        let Some(TokenTree::Ident(part)) = tokens.next_if(|token| matches!(token, TokenTree::Ident(_)))
        else {
            break;
        };
        path.push(part.to_string());
    }
    path
}

/// Returns whether an attribute leaves an item to the tests.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text.starts_with("cfg(test)") || text.starts_with("cfg(all(test")
}

fn skip_item(tokens: &mut Peekable<IntoIter>) {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(sign) => sign.as_char() == ';',
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    while tokens.next().is_some_and(|token| !is_end(&token)) {}
}

fn next_text(tokens: &mut Peekable<IntoIter>) -> String {
    tokens.next().map(|token| token.to_string()).unwrap_or_default()
}
