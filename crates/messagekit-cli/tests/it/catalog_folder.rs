//! The folder of `messagekit catalog render`, and what other programs have in it.

use std::fs;

use serde_json::json;

use crate::services::{Known, Services, object, tree};

const PAGE: &str = "events/orders.order.placed.md";

fn known(event_type: &str) -> Known {
    Known::new(event_type, "1.0", object(&[("id!", json!({"type": "string"}))]))
}

fn taken() -> Known {
    known("payments.payment.taken")
}

fn shop() -> Services {
    Services::new().with("orders", &[known("orders.order.placed")], &[taken()], &[])
}

#[test]
fn pages_of_events_that_are_gone_are_removed() {
    let services = shop();
    let folder = services.render("out");
    fs::write(folder.join("events/notes.md"), "kept by hand").unwrap();
    fs::write(folder.join("events/orders.txt"), "kept, too").unwrap();
    fs::create_dir(folder.join("events/old.md")).unwrap();
    let fewer = Services::new().with("billing", &[taken()], &[], &[]);
    let answer = fewer.run("render", &["--to", &services.text("out")]);
    assert_eq!(answer.text(), "3 files, 3 written, 1 removed\n");
    let left: Vec<String> = tree(&folder).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        left,
        [
            "README.md",
            "asyncapi.json",
            "events/notes.md",
            "events/orders.txt",
            "events/payments.payment.taken.md"
        ]
    );
}

#[test]
fn files_of_other_programs_are_not_replaced() {
    for file in ["README.md", "asyncapi.json", PAGE] {
        let services = shop();
        let path = services.path("out").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "a text\nof another program").unwrap();
        let answer = services.run("render", &["--to", &services.text("out")]);
        answer.refused(2, &["this command did not write", file]);
        assert_eq!(tree(&services.path("out")), [(file.to_owned(), "a text\nof another program".to_owned())]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_pages_out_of_the_folder() {
    let services = shop();
    fs::create_dir(services.path("out")).unwrap();
    fs::create_dir(services.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(services.path("elsewhere"), services.path("out/events")).unwrap();
    services.run("render", &["--to", &services.text("out")]).refused(2, &["did not write", "events"]);
    assert_eq!(tree(&services.path("elsewhere")), []);
}
