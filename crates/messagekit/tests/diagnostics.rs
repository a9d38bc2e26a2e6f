//! The compiler's texts for mistakes in a service, and for mistakes in the attributes of an event.

/// All in one build: a case that has to compile is no case here, because each of these would then be a build of its own.
#[test]
fn mistakes_are_explained_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/diagnostics/*.rs");
    cases.compile_fail("tests/diagnostics/derive/*.rs");
}
