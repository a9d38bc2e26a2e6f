//! The compiler's texts for mistakes in a service.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/diagnostics/*.rs");
}
