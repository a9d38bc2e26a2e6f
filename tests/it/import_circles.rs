//! No two files of a crate import each other, neither directly nor through further files.

mod modules;

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{files, read};
use modules::Modules;

/// The files that each file imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the shortest circle of each file, with its files from the first in the alphabet on.
fn circles(imports: &Imports) -> BTreeSet<Vec<String>> {
    imports.keys().filter_map(|file| shortest_circle(imports, file)).collect()
}

fn shortest_circle(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for mut way in ways {
            for next in imports.get(*way.last()?).into_iter().flatten() {
                if next == start {
                    let first = (0..way.len()).min_by_key(|index| way[*index])?;
                    way.rotate_left(first);
                    return Some(way.into_iter().map(str::to_owned).collect());
                }
                if seen.insert(next) {
                    longer.push([way.as_slice(), &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

fn shown(circle: &[String]) -> String {
    format!("{} -> {}", circle.join(" -> "), circle[0])
}

#[test]
fn no_files_import_each_other() {
    let files = files();
    let is_root = |file: &&String| {
        !file.starts_with("benches/peers/") && (file.ends_with("src/lib.rs") || file.ends_with("src/main.rs"))
    };
    let read_existing = |file: &str| files.iter().any(|one| one == file).then(|| read(file));
    let (mut count, mut problems) = (0, Vec::new());
    for root in files.iter().filter(is_root) {
        let modules = Modules::read(root, &read_existing);
        count += modules.count();
        problems.extend(circles(&modules.imports()).iter().map(|circle| shown(circle)));
    }
    assert!(problems.is_empty(), "these files import each other:\n{}", problems.join("\n"));
    assert!(count > 500, "there are {count} modules");
}

/// Returns the circles of a crate with these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let read = |file: &str| files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned());
    circles(&Modules::read("src/lib.rs", &read).imports()).iter().map(|circle| shown(circle)).collect()
}

#[test]
fn a_circle_is_found_through_re_exports_and_further_files() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod a; mod b; pub use a::{A, b_of};"),
        ("src/a.rs", "pub struct A; pub fn b_of() { crate::b::make() }"),
        ("src/b/mod.rs", "mod c; pub use c::{make as made, C}; pub fn make() { made() }"),
        ("src/b/c.rs", "use crate::A; pub struct C(A); pub fn make() {}"),
    ]);
    assert_eq!(circles, ["src/a.rs -> src/b/mod.rs -> src/b/c.rs -> src/a.rs"]);
}

#[test]
fn a_circle_is_found_through_a_name_that_a_macro_shares() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod a; mod b; pub use a::A; pub use macros::A;"),
        ("src/a.rs", "pub trait A { fn b(self) -> crate::b::B; }"),
        ("src/b.rs", "use crate::A; pub struct B; impl B { fn of(a: impl A) {} }"),
    ]);
    assert_eq!(circles, ["src/a.rs -> src/b.rs -> src/a.rs"]);
}

#[test]
fn files_that_only_tests_and_documentation_tie_are_no_circle() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod a; mod b; pub use a::A; pub use b::B; pub type Number = u8;"),
        (
            "src/a.rs",
            "/// See [`crate::b::B`].\npub struct A; // super::B\n#[cfg(test)] mod tests { use crate::B; }",
        ),
        ("src/b.rs", "mod one; use one::One; pub struct B(One, super::A); #[cfg(test)] mod tests;"),
        ("src/b/one.rs", "use std::fmt; pub struct One(fmt::Error, crate::A, crate::Number);"),
    ]);
    assert!(circles.is_empty(), "{circles:?}");
}
