//! `messagekit admin`.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{AWAY, messagekit, messagekit_with};
use crate::console::{Console, message};
use crate::server::{Server, get};

fn token(name: &str, role: &str) -> Value {
    messagekit(&["admin", "token", "--name", name, "--role", role, "--json"]).json()
}

#[test]
fn a_token_is_printed_once_with_the_line_that_lets_it_in() {
    let made = token("mona", "operator");
    let (secret, hash) = (made["token"].as_str().unwrap(), made["hash"].as_str().unwrap());
    assert!(secret.starts_with("mk_") && secret.len() == 67, "{secret}");
    assert_eq!(made["line"], format!("mona operator {hash}"));
    assert_ne!(token("mona", "operator")["token"], made["token"]);

    let text = messagekit(&["admin", "token", "--name", "mona", "--role", "viewer"]).text();
    let secret = text.lines().find(|line| line.trim_start().starts_with("mk_")).unwrap().trim();
    assert_eq!(text.matches(secret).count(), 1, "{text}");
    assert!(text.contains("mona viewer sha256:") && text.contains("[[token]]\n  name = \"mona\""), "{text}");

    messagekit(&["admin", "token", "--name", "mona"]).refused(2, &["--role"]);
    messagekit(&["admin", "token", "--name", "mona", "--role", "queen"])
        .refused(2, &["viewer, reader, operator, admin"]);
    messagekit(&["admin", "token", "--name", "a b", "--role", "viewer"]).refused(2, &["name of a token"]);
}

#[tokio::test]
async fn failed_messages_need_a_token_and_a_signal_ends_the_server() {
    let console = Console::with([message(Some(b"c-7"), b"{}")]).await;
    let made = token("mona", "operator");
    let tokens = console.file().with_file_name("tokens");
    fs::write(&tokens, made["line"].as_str().unwrap()).unwrap();
    let database = format!("shop=sqlite:{}", console.file().display());
    let arguments = ["admin", "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0", "--database", &database];
    let mut server = Server::start(&[&arguments[..], &["--tokens", tokens.to_str().unwrap()]].concat(), &[]);
    let position = server.says("listening on ");
    let health = server.says("health without a token on ");

    let url = format!("{position}/api/v1/dlq");
    assert_eq!(get(&url, None).status(), 401);
    assert_eq!(get(&url, Some("mk_guessed")).status(), 401);
    let page: Value = get(&url, made["token"].as_str()).body_mut().read_json().unwrap();
    assert!(page.to_string().contains("order 1 has no customer"), "{page}");
    assert_eq!(get(&format!("{health}/health/ready"), None).status(), 200);
    assert_eq!(get(&format!("{health}/api/v1/dlq"), made["token"].as_str()).status(), 404);

    let (code, err) = server.stop("TERM");
    assert_eq!(code, Some(0), "{err}");
    assert!(!err.contains(made["token"].as_str().unwrap()), "{err}");
}

#[tokio::test]
async fn admin_starts_from_its_file_alone_and_names_a_server_outage() {
    let console = Console::with([message(None, b"{}")]).await;
    let made = token("vera", "viewer");
    let config = console.file().with_file_name("admin.toml");
    let text = format!(
        "[admin]\nlisten = '127.0.0.1:0'\nhealth = '127.0.0.1:0'\noldest_event = '15m'\noverdue_events = 5000\n\n\
         [[database]]\nname = 'shop'\nurl_file = 'url'\n\n\
         [[database]]\nname = 'billing'\nurl = 'postgres://me:s3cret@{AWAY}/billing'\n\n\
         [[token]]\nname = 'vera'\nrole = 'viewer'\nhash = '{}'\n\n[bridge]\nname = 'of another program'\n",
        made["hash"].as_str().unwrap()
    );
    fs::write(&config, text).unwrap();
    fs::write(console.file().with_file_name("url"), format!("sqlite:{}\n", console.file().display()))
        .unwrap();
    let mut server = Server::start(&["admin", "--config", config.to_str().unwrap()], &[]);
    let position = server.says("listening on ");
    let health = server.says("health without a token on ");
    let ready = get(&format!("{health}/health/ready"), None);
    assert_eq!(ready.status(), 503);
    let text = ready.into_body().read_to_string().unwrap();
    assert!(text.contains("billing") && text.contains("shop") && !text.contains("s3cret"), "{text}");
    let page = get(&format!("{position}/api/v1/dlq?database=shop"), made["token"].as_str());
    assert_eq!(page.status(), 200);
    let (code, err) = server.stop("INT");
    assert_eq!((code, err.contains("s3cret")), (Some(0), false), "{err}");
}

#[tokio::test]
async fn nothing_is_served_without_a_token_or_with_mistakes() {
    let console = Console::empty().await;
    let folder = console.file().parent().unwrap().to_owned();
    let database = format!("shop=sqlite:{}", console.file().display());
    let admin = |arguments: &[&str]| messagekit(&[&["admin", "--listen", "127.0.0.1:0"], arguments].concat());
    admin(&["--database", &database]).refused(2, &["no token", "messagekit admin token"]);
    admin(&[]).refused(2, &["no database: write --database NAME=URL", "no token: make one"]);
    let refused = admin(&["--database", "shop=mysql://me:s3cret@host/shop"]);
    assert!(!refused.err.contains("s3cret"), "{refused:?}");
    refused.refused(2, &["write sqlite:PATH or postgres://"]);
    admin(&["--listen", "moon"]).refused(2, &["--listen"]);
    admin(&["--tokens", "/nowhere/tokens", "--database", &database]).refused(2, &["/nowhere/tokens"]);
    admin(&["--config", "/nowhere/admin.toml"]).refused(2, &["/nowhere/admin.toml"]);

    let tokens = folder.join("tokens");
    fs::write(&tokens, "mona operator mk_0123\n").unwrap();
    let with = ["--tokens", tokens.to_str().unwrap(), "--database"];
    let refused = admin(&[&with[..], &[&database]].concat());
    assert!(!refused.err.contains("mk_0123"), "{refused:?}");
    refused.refused(2, &["line 1", "tokens"]);

    fs::write(&tokens, token("mona", "operator")["line"].as_str().unwrap()).unwrap();
    let missing = format!("shop=sqlite:{}", folder.join("none.db").display());
    admin(&[&with[..], &[&missing]].concat()).refused(1, &["no such database file", "none.db"]);
    let twice = [&with[..], &[&database, "--database", &database]].concat();
    admin(&twice).refused(2, &["two databases shop"]);
    let loud = [&["admin", "--listen", "127.0.0.1:0"], &with[..], &[&database]].concat();
    messagekit_with(&loud, &[("MESSAGEKIT_LOG", "a=b=c")]).refused(2, &["MESSAGEKIT_LOG is no level"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let position = taken.local_addr().unwrap().to_string();
    let taken = [&["admin", "--listen", &position], &with[..], &[&database]].concat();
    messagekit(&taken).refused(1, &["cannot listen", &position]);
}

#[test]
fn all_mistakes_of_a_configuration_are_reported_together() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("admin.toml");
    let text = "[admin]\nlisten = 9464\nport = 1\noldest_event = 300\noverdue_events = -1\ntokens_file = 'tokens'\n[[database]]\nurl = 'mysql://me:s3cret@host/x'\n\
                [[token]]\nname = 'mona'\nrole = 'queen'\nhash = 'mk_s3cret'\n";
    fs::write(&config, text).unwrap();
    let variables = [("MESSAGEKIT_ADMIN__HEALTH", "nowhere"), ("MESSAGEKIT_ADMIN__HOST", "x")];
    let problems = [
        "admin.listen (",
        "admin.toml:2)",
        "admin.health (MESSAGEKIT_ADMIN__HEALTH)",
        "admin.port (",
        "admin.oldest_event (",
        "admin.overdue_events (",
        "admin.host (MESSAGEKIT_ADMIN__HOST): unknown key: did you mean hosts?",
        "database.0.url (",
        "token.0.role (",
        "token.0.hash (",
        "viewer, reader, operator, admin",
    ];
    told(&["--config", config.to_str().unwrap()], &variables, &problems);
}

/// A start and a check reject the same configuration, with all problems in one line.
fn told(arguments: &[&str], variables: &[(&str, &str)], problems: &[&str]) {
    for check in [&[][..], &["--check"]] {
        let answer = messagekit_with(&[&["admin"], arguments, check].concat(), variables);
        assert_eq!((answer.code, answer.err.lines().count(), &*answer.out), (2, 1, ""), "{answer:?}");
        assert!(!answer.err.contains("s3cret"), "{answer:?}");
        for problem in problems {
            assert!(answer.err.contains(problem), "{problem:?} is missing: {answer:?}");
        }
    }
}

#[test]
fn a_check_refuses_every_name_that_a_start_refuses() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("admin.toml");
    let text = "[admin]\nlisten = '127.0.0.1:9001'\nhealth = '127.0.0.1:9001'\ntokens_file = 'none'\n\
                [[database]]\nname = 'shop'\nurl = 'sqlite:a.db'\n[[database]]\nname = 'shop'\nurl = 'sqlite:b.db'\n\
                [[database]]\nname = 'Big Shop'\nurl = 'sqlite:c.db'\n\
                [[database]]\nname = 'port'\nurl = 'postgres://me:s3cret@host:port/shop'\n";
    fs::write(&config, text).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let loud = [("MESSAGEKIT_LOG", "a=b=c")];
    let problems = [
        "database.1.name (",
        "there are two databases shop",
        "database.2.name (",
        "1 to 63 of a-z, 0-9, _ and -",
        "database.3.url (",
        "the tokens cannot be read",
        "listen and health are both 127.0.0.1:9001",
        "MESSAGEKIT_LOG is no level",
    ];
    told(&config, &loud, &problems);

    let options =
        ["--database", "Shop=sqlite:a.db", "--database", "b=sqlite:b.db", "--database", "b=sqlite:c.db"];
    let more = ["--database", "d=postgres://me:s3cret@host:port/d", "--tokens", "/nowhere/tokens"];
    let problems = ["\"Shop\"", "there are two databases b", "/nowhere/tokens", "MESSAGEKIT_LOG is no level"];
    told(&[&options[..], &more].concat(), &loud, &problems);
}

#[test]
fn a_check_accepts_what_only_a_server_or_a_file_can_refuse() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, token("mona", "operator")["line"].as_str().unwrap()).unwrap();
    let missing = format!("shop=sqlite:{}", folder.path().join("none.db").display());
    let options = ["--database", &missing, "--database", "postgres://me@localhost/bills"];
    let checked =
        messagekit(&[&["admin", "--check", "--tokens", tokens.to_str().unwrap()], &options[..]].concat());
    assert_eq!(checked.text(), "settings of the admin can be used\n");
}
