use super::*;

/// For each struct its major version and those that it is upcast from.
type Majors = &'static [&'static [u32]];

fn reads(versions: Majors) -> Vec<ReadVersions> {
    let versions = versions.iter().map(|majors| {
        let at = |major: &u32| DataVersion { major: *major, minor: 3 };
        let earlier = majors[1..].iter().rev().fold(None, |before, major| {
            Some(&*Box::leak(Box::new(EarlierVersion { version: at(major), before })))
        });
        ReadVersions { own: at(&majors[0]), earlier }
    });
    versions.collect()
}

#[test]
fn data_goes_to_its_major_version_or_the_lowest_that_reads_it() {
    let cases: [(Majors, &str, Option<usize>); 9] = [
        (&[&[1]], "1.0", Some(0)),
        (&[&[2]], "1.0", None),
        (&[&[1]], "2.0", None),
        (&[&[2, 1]], "1.0", Some(0)),
        (&[&[3, 2, 1]], "1.9", Some(0)),
        (&[&[3, 2], &[1]], "1.0", Some(1)),
        (&[&[3, 2, 1], &[2, 1]], "1.0", Some(1)),
        (&[&[3, 2, 1], &[2, 1]], "3.0", Some(0)),
        (&[&[3, 2, 1], &[2, 1]], "4.0", None),
    ];
    for (known, found, expected) in cases {
        assert_eq!(choose(found, &reads(known), true).ok(), expected, "{found} of {known:?}");
    }
}

#[test]
fn a_newer_minor_version_is_read_unless_the_policy_refuses_it() {
    let known = reads(&[&[2, 1]]);
    for found in ["2.3", "2.0", "1.3"] {
        assert_eq!(choose(found, &known, false), Ok(0), "{found}");
    }
    for found in ["2.4", "1.4"] {
        assert_eq!(choose(found, &known, true), Ok(0), "{found}");
        assert_eq!(choose(found, &known, false).unwrap_err().kind, FailureKind::NewerVersion, "{found}");
    }
}

#[test]
fn a_refusal_names_both_versions_and_the_cure() {
    for (found, kind, parts) in [
        ("9.1", FailureKind::NewerVersion, ["version 9.1", "2.3, 3.3", "deploy the newer program"]),
        ("1.2", FailureKind::Undecodable, ["version 1.2", "2.3, 3.3", "add an upcaster from version 1 "]),
        ("x", FailureKind::Undecodable, ["not", "MAJOR", "MINOR"]),
    ] {
        let failure = choose(found, &reads(&[&[3, 2]]), true).unwrap_err();
        assert_eq!(failure.kind, kind, "{found}");
        assert!(parts.iter().all(|part| failure.error.contains(part)), "{found}: {}", failure.error);
    }
}
