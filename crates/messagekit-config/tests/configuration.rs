//! Settings: precedence, and every problem reported at once with its location.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_config::{ALIASES, Configuration};

fn read(text: &str, environment: &[(&str, &str)]) -> Configuration {
    Configuration::read(("shop.toml", text), environment.iter().copied()).expect("it is TOML")
}

fn refusal(configuration: &Configuration) -> String {
    let error = configuration.finish().expect_err("something is wrong");
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
    let file = "[bridge]\nwindow = 10\ndrain = '1m 30s'\n[bridge.limit]\nmessages = 7\n";
    let configuration =
        read(file, &[("MESSAGEKIT_BRIDGE__WINDOW", "20"), ("MESSAGEKIT_BRIDGE__LIMIT__PER", "")]);
    let bridge = configuration.section("bridge");
    assert_eq!(bridge.or("window", 1_u32), 20);
    assert_eq!(bridge.or("drain", Duration::ZERO), Duration::from_secs(90));
    assert_eq!(bridge.or("prefetch", 3_u16), 3);
    let limit = bridge.section("limit");
    assert_eq!(limit.required("messages"), NonZeroU32::new(7));
    assert_eq!(
        limit.or("per", Duration::from_secs(60)),
        Duration::from_secs(60),
        "an empty variable is not set"
    );
    assert_eq!(bridge.written_at("window"), "MESSAGEKIT_BRIDGE__WINDOW");
    assert_eq!(bridge.written_at("drain"), "shop.toml:3");
    configuration.finish().unwrap();
}

#[test]
fn all_wrong_settings_are_reported_together_with_key_and_source() {
    let file = "\
[bridge]
window = 'many'
listen = true
drain = 30
gap = '-5s'
widnow = 3
size = 70_000
brokers = 'a:1'
settings = { acks = ['all'] }

[[rule]]
topics = ['orders.order', 7]

[[rule]]
topic = ['x']

[colour]
red = 1
";
    let environment = [
        ("MESSAGEKIT_BRIDGE__RETRY", "maybe"),
        ("MESSAGEKIT_RULE__5__TOPICS", "a"),
        ("MESSAGEKIT_BRIGDE__NAME", "x"),
        ("MESSAGEKIT_BRIDGE__WINDOW__SIZE", "1"),
        ("MESSAGEKIT_DATABASE_URL", "no setting: there is no second underscore"),
    ];
    let configuration = read(file, &environment);
    let bridge = configuration.section("bridge");
    assert_eq!(bridge.required::<String>("name"), None);
    assert_eq!(bridge.or("window", 5_u32), 5);
    assert_eq!(bridge.optional::<SocketAddr>("listen"), None);
    assert_eq!(bridge.optional::<Duration>("drain"), None);
    assert_eq!(bridge.optional::<Duration>("gap"), None);
    assert_eq!(bridge.optional::<u16>("size"), None);
    assert_eq!(bridge.optional::<Vec<String>>("brokers"), None);
    assert_eq!(bridge.optional::<BTreeMap<String, String>>("settings"), None);
    assert!(!bridge.or("retry", false));
    let rules = configuration.sections("rule");
    let topics = rules.iter().map(|rule| rule.required::<Vec<String>>("topics")).collect::<Vec<_>>();
    assert_eq!(topics, [None, None]);
    rules[1].problem("key", "may not be empty");

    let text = refusal(&configuration);
    for problem in [
        "18 problems",
        "bridge.window.size (MESSAGEKIT_BRIDGE__WINDOW__SIZE): window has no parts",
        "rule.5.topics (MESSAGEKIT_RULE__5__TOPICS): the next entry has the number 2",
        "bridge.name (shop.toml:1): missing: write it into [bridge], or set MESSAGEKIT_BRIDGE__NAME",
        "bridge.window (shop.toml:2): expected a whole number from 0 to 4294967295, found \"many\"",
        "bridge.listen (shop.toml:3): expected a text, found true: put it in quotes",
        "bridge.drain (shop.toml:4): expected a time such as \"30s\" or \"5m\", found 30",
        "bridge.gap (shop.toml:5): expected a time",
        "bridge.size (shop.toml:7): expected a whole number from 0 to 65535, found 70000",
        "bridge.brokers (shop.toml:8): expected a list, found \"a:1\": write it as [ … ]",
        "bridge.settings (shop.toml:9): acks: expected a text, found a list",
        "bridge.retry (MESSAGEKIT_BRIDGE__RETRY): expected true or false, found \"maybe\"",
        "rule.0.topics (shop.toml:12): expected a text, found 7: put it in quotes",
        "rule.1.topics (shop.toml:14): missing: write it into [rule], or set MESSAGEKIT_RULE__1__TOPICS",
        "rule.1.key (shop.toml:14): may not be empty",
        "bridge.widnow (shop.toml:6): unknown key: did you mean window?",
        "rule.1.topic (shop.toml:15): unknown key: did you mean topics?",
    ] {
        assert!(text.contains(problem), "{problem:?} is missing: {text}");
    }
    assert!(text.contains("colour (shop.toml:17): unknown key"), "{text}");
    assert!(text.contains("brigde (MESSAGEKIT_BRIGDE__NAME): unknown key: did you mean bridge?"), "{text}");
}

#[test]
fn a_value_where_a_section_belongs_is_reported() {
    let configuration = read("bridge = 5\nrule = { topics = [] }\n", &[]);
    assert_eq!(configuration.section("bridge").optional::<u32>("window"), None);
    assert!(configuration.sections("rule").is_empty());
    let text = refusal(&configuration);
    assert!(text.contains("bridge (shop.toml:1): expected a section"), "{text}");
    assert!(text.contains("rule (shop.toml:2): expected a list of sections"), "{text}");
    assert!(text.starts_with("2 problems"), "{text}");
}

#[test]
fn sections_of_other_programs_in_the_same_file_are_passed_over() {
    let configuration = read("[admin]\nlisten = 'x'\n[bridge]\nname = 'b'\n", &[]);
    configuration.passes_over(&["admin"]);
    assert_eq!(configuration.section("bridge").required("name"), Some("b".to_owned()));
    configuration.finish().unwrap();
}

#[test]
fn syntax_mistakes_show_line_and_column_but_not_the_text() {
    let text = "[bridge]\nurl = 'amqp://me:s3cret@host\n\nname = \"x\"\nname = 'y'\nwindow = 1 2\n";
    let error = Configuration::read(("shop.toml", text), [("", ""); 0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    let text = messagekit::chain(&error);
    assert!(!text.contains("s3cret") && text.lines().count() == 1, "{text}");
    for location in ["shop.toml:2:", "shop.toml:5:1", "shop.toml:6:"] {
        assert!(text.contains(location), "{location} is missing: {text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Configuration::load(Some(Path::new("/nowhere/shop.toml"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    assert!(error.to_string().contains("/nowhere/shop.toml"), "{error}");
    Configuration::load(None).unwrap().finish().unwrap();
}

#[test]
fn a_secret_is_never_shown() {
    let file = "\
[rabbitmq]
url = 'amqp://me:s3cret@rabbit'
password = 53217
listen = 'amqp://me:s3cret@rabbit'
brokers = 'password=s3cret'
";
    let configuration = read(file, &[("MESSAGEKIT_RABBITMQ__PASWORD", "s3cret")]);
    let rabbitmq = configuration.section("rabbitmq");
    let url = rabbitmq.required_secret("url").unwrap();
    assert_eq!(url.expose(), "amqp://me:s3cret@rabbit");
    assert_eq!(rabbitmq.secret("password"), None);
    assert_eq!(rabbitmq.optional::<SocketAddr>("listen"), None);
    assert_eq!(rabbitmq.optional::<Vec<String>>("brokers"), None);
    let shown = format!("{url:?} {configuration:?} {rabbitmq:?} {}", refusal(&configuration));
    for secret in ["s3cret", "53217", "me:"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for problem in ["rabbitmq.password (shop.toml:3)", "rabbitmq.pasword (MESSAGEKIT_RABBITMQ__PASWORD)"] {
        assert!(shown.contains(problem), "{problem} is missing: {shown}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file_beside_the_configuration() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("password", "s3cret\r\n");
    write("nothing", "\n");
    write(
        "shop.toml",
        "[a]\npassword_file = 'password'\nca = 'ca.pem'\n[b]\npassword_file = 'nothing'\n\
         [c]\npassword_file = 'absent'\n[d]\npassword = 'x'\npassword_file = 'password'\n[e]\npassword = ''\n",
    );
    let configuration = Configuration::load(Some(&folder.path().join("shop.toml"))).unwrap();
    let a = configuration.section("a");
    assert_eq!(a.required_secret("password").unwrap().expose(), "s3cret");
    assert_eq!(a.path("ca"), Some(folder.path().join("ca.pem")));
    for name in ["b", "c", "d", "e", "f"] {
        assert_eq!(configuration.section(name).required_secret("password"), None, "{name}");
    }
    let text = refusal(&configuration);
    for problem in [
        "nothing is empty",
        "absent cannot be read: ",
        "password and password_file are both set",
        "e.password",
        "f.password",
        "missing: write it, or password_file, into [f], or set MESSAGEKIT_F__PASSWORD",
    ] {
        assert!(text.contains(problem), "{problem:?} is missing: {text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_secret_in_the_environment_wins_over_a_configured_file() {
    let configuration = read("[a]\npassword_file = '/nowhere'\n", &[("MESSAGEKIT_A__PASSWORD", "s3cret")]);
    assert_eq!(configuration.section("a").secret("password").unwrap().expose(), "s3cret");
    configuration.finish().unwrap();
}

#[test]
fn the_environment_alone_is_enough() -> Result<(), Error> {
    let environment = [
        ("MESSAGEKIT_KAFKA__BROKERS", "one:9092, two:9092"),
        ("MESSAGEKIT_DATABASE__0__URL", "postgres://shop"),
        ("MESSAGEKIT_DATABASE__0__NAME", "shop"),
        ("MESSAGEKIT_DATABASE__1__URL", "postgres://billing"),
        ("MESSAGEKIT_ADMIN__TLS", "no"),
        ("MESSAGEKIT_ADMIN__RATIO", "0.5"),
    ];
    let configuration = read("", &environment);
    let brokers = configuration.section("kafka").required::<Vec<String>>("brokers");
    assert_eq!(brokers.unwrap(), ["one:9092", "two:9092"]);
    let databases = configuration.sections("database");
    let urls = databases.iter().map(|database| database.required_secret("url").unwrap()).collect::<Vec<_>>();
    assert_eq!(
        urls.iter().map(|url| url.expose()).collect::<Vec<_>>(),
        ["postgres://shop", "postgres://billing"]
    );
    assert_eq!(databases[0].optional("name"), Some("shop".to_owned()));
    let admin = configuration.section("admin");
    assert_eq!((admin.optional("tls"), admin.optional("ratio")), (Some(false), Some(0.5)));
    configuration.finish()
}

#[test]
fn python_setting_names_apply_where_the_new_name_is_unset() {
    let old = [
        ("EVENTING_DATABASE_URL", "postgresql+asyncpg://postgres@localhost:5432/eventing"),
        ("eventing_kafka_bootstrap_servers", "localhost:9092"),
        ("EVENTING_KAFKA_CLIENT_ID", "eventing"),
        ("EVENTING_RABBITMQ_RATE_INTERVAL", "60.0"),
        ("EVENTING_RABBITMQ_RATE_LIMIT", "500"),
        ("EVENTING_RABBITMQ_EXCHANGE", "events"),
        ("EVENTING_SERVICE_NAME", "has no counterpart"),
        ("MESSAGEKIT_KAFKA__CLIENT_ID", "shop"),
    ];
    let configuration = read("[bridge.limit]\nper = '1s'\n", &old);
    let database = &configuration.sections("database")[0];
    assert_eq!(
        database.required_secret("url").unwrap().expose(),
        "postgresql://postgres@localhost:5432/eventing"
    );
    let kafka = configuration.section("kafka");
    assert_eq!(kafka.required::<Vec<String>>("brokers").unwrap(), ["localhost:9092"]);
    assert_eq!(kafka.required("client_id"), Some("shop".to_owned()));
    let limit = configuration.section("bridge").section("limit");
    assert_eq!(limit.or("per", Duration::ZERO), Duration::from_secs(60));
    assert_eq!(limit.or("messages", 0_u32), 500);
    configuration.finish().expect("an old name that the program does not read is no mistake");
    assert!(
        ALIASES
            .iter()
            .all(|(old, key)| (old.starts_with("EVENTING_") || old.starts_with("KALAMDB_"))
                && key.contains('.'))
    );
}

const DATABASES: &str = "\
[[database]]
name = 'orders'
url_file = '/nowhere/secret'

[[database]]
name = 'billing'
url = 'postgres://billing@localhost/shop'
";

#[test]
fn a_service_reads_its_own_database_and_ignores_the_others() {
    let configuration = read(DATABASES, &[]);
    let url = configuration.complete(configuration.postgres("billing")).expect("nothing is wrong");
    assert_eq!(url.expose(), "postgres://billing@localhost/shop");
    let variables = [("MESSAGEKIT_DATABASE__0__URL", "sqlite:billing.db")];
    let configuration = read("", &variables);
    assert_eq!(configuration.complete(configuration.sqlite("billing")).unwrap(), Path::new("billing.db"));
}

#[test]
fn a_database_that_cannot_be_meant_is_refused_with_its_name() {
    let refused = |text: &str, name: &str| {
        let configuration = read(text, &[]);
        assert!(configuration.postgres(name).is_none() || configuration.finish().is_err(), "{text}");
        refusal(&configuration)
    };
    assert!(refused("", "billing").contains("or set MESSAGEKIT_DATABASE__0__URL"));
    let others = refused(DATABASES, "shipping");
    assert!(
        others.contains("no [[database]] with the name \"shipping\": there is orders, billing"),
        "{others}"
    );
    let twice = DATABASES.replace("'orders'", "'billing'");
    assert!(refused(&twice, "billing").contains("two [[database]] with the name \"billing\""));
    let unnamed = DATABASES.replace("name = 'orders'\n", "").replace("name = 'billing'\n", "");
    assert!(refused(&unnamed, "billing").contains("no [[database]] with the name \"billing\""));
    let said = refused("[[database]]\nurl = 'sqlite:secret.db'\n", "billing");
    assert!(said.contains("shop.toml:2") && !said.contains("secret"), "{said}");
    for wrong in ["sqlite:", "postgres://localhost/shop", "billing.db"] {
        let configuration = read(&format!("[[database]]\nurl = '{wrong}'\n"), &[]);
        assert!(configuration.sqlite("billing").is_none());
        assert!(refusal(&configuration).contains("write sqlite:PATH"), "{wrong}");
    }
}

#[test]
fn a_service_skips_the_sections_that_it_does_not_read() {
    let file = "[billing]\ncurrency = 'EUR'\n[relay]\nbatch = 1\n[kafka]\nbrokers = ['k']\nbogus = 1\n";
    let configuration = read(file, &[]);
    let currency: Option<String> = configuration.service("billing").unwrap().optional("currency");
    assert_eq!(configuration.complete(currency).unwrap(), "EUR");
    // A section that it reads has no unknown keys.
    let _: Option<Vec<String>> = configuration.section("kafka").required("brokers");
    assert!(refusal(&configuration).contains("kafka.bogus"));
    // The section of another service is not known.
    let configuration = read("[orders]\nlisten = '127.0.0.1:1'\n", &[]);
    configuration.service("billing").unwrap();
    assert!(refusal(&configuration).contains("orders"));
}
