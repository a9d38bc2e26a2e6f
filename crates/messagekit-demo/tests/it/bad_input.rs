//! Reports about invalid input.

use std::fs;

use serde_json::Value;

use crate::{demo, json, refused, text};

#[test]
fn bad_lines_are_named_and_the_others_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let lines = [
        r#"{"type":"shop.invoice.placed","key":"c-1","data":{"invoice":"i-1","totalPence":500}}"#,
        "not json",
        "",
        r#"{"type":"shop.invoice.placed","key":"c-1","data":{"invoice":"i-2","total_pence":700}}"#,
        r#"{"type":"shop.invoice.placed","key":"c-1","data":{"invoice":"i-3","totalPence":"geheim"}}"#,
        r#"{"type":"Shop Invoice","key":"c-1","data":{}}"#,
        r#"{"type":"shop.invoice.cancelled","data":{"invoice":"i-4","totalPence":-100}}"#,
        r#"{"type":"shop.invoice.adjusted","key":"c-2","data":{"invoice":"i-5","totalPence":7}}"#,
        r#"{"type":"shop.parcel.sent","key":"c-1","data":{"parcel":"p-1"}}"#,
        r#"{"type":"shop.parcel.sent","key":"c-1","data":{"parcel":"p-2"}}"#,
    ];
    fs::write(&file, lines.join("\n")).expect("a file");

    let (report, code) = json(&["--input", text(&file)]);
    assert_eq!((&report["verdict"], code), (&Value::from("kept"), Some(1)), "{report}");
    let bad = report["bad_lines"].as_array().expect("a list");
    let numbers: Vec<_> = bad.iter().filter_map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, [2, 5, 6]);
    assert_eq!(report["dead_letters"], 1);
    assert!(report["ignored"].as_u64() >= Some(1), "{report}");

    let said = String::from_utf8(demo(&["--input", text(&file)]).stderr).expect("text");
    for part in ["line 2 of", "line 5 of", "line 6 of"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("geheim"), "{said}");
}

#[test]
fn input_without_a_usable_line_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, kept) = (folder.path().join("events.ndjson"), folder.path().join("kept"));
    for (content, part) in [("", "input is empty"), ("7\n", "line 1: not a JSON object")] {
        fs::write(&file, content).expect("a file");
        let (said, code) = refused(&["--input", text(&file), "--keep", text(&kept)]);
        assert_eq!(code, Some(1));
        assert!(said.contains(part), "{said}");
        assert!(!kept.exists());
    }
}

#[test]
fn files_and_folders_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let missing = folder.path().join("missing.ndjson");
    for (arguments, part) in [
        (["--input", text(&missing)], "missing.ndjson"),
        (["--input", text(folder.path())], "Is a directory"),
        (["--keep", text(&file)], "folder cannot be made"),
    ] {
        let (said, code) = refused(&arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_2() {
    for arguments in [
        &["--nonsense"][..],
        &["--orders", "0"],
        &["--orders", "many"],
        &["--orders", "5", "--input", "events.ndjson"],
        &["--keep"],
        &["stray"],
    ] {
        let (said, code) = refused(arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("see --help"), "{said}");
    }
}
