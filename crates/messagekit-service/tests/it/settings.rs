//! The settings of a service, and what is said about wrong ones.

use messagekit::{ErrorKind, Shutdown};
use messagekit_service::Service;
use tokio::net::TcpListener;

use crate::support::*;

#[tokio::test]
async fn every_mistake_is_named_before_anything_runs() {
    let text = "[billing]\nlisten = 'nowhere'\nlitsen = 1\ncurrency = 7\n[[database]]\nurl = 'mysql://me:s3cret@host/shop'\n";
    let service = Service::new("billing", settings(text)).expect("the name is right");
    let currency = service.section().required::<String>("currency");
    let database = service.settings().postgres("billing");
    let error = service.settings().complete(currency.zip(database)).expect_err("four mistakes");
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    let said = error.to_string();
    for mistake in [
        "billing.listen (billing.toml:2)",
        "billing.litsen (billing.toml:3): unknown key: did you mean listen?",
        "billing.currency (billing.toml:4)",
        "database.0.url (billing.toml:6): is not of PostgreSQL",
    ] {
        assert!(said.contains(mistake), "{mistake:?} is not in {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(service.run_until(Shutdown::new()).await.expect_err("it does not run").to_string(), said);
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = format!("[order_service]\nlisten = '{address}'\n");
    let service = Service::new("order-service", settings(&text)).expect("a name");
    let error = service.run_until(Shutdown::new()).await.expect_err("it is taken");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let said = messagekit::chain(&error);
    assert!(said.contains("in billing.toml:2") && said.contains(&address), "{said}");
}

#[tokio::test]
async fn an_address_that_nothing_sets_is_named_by_its_variable() {
    let _taken = TcpListener::bind("127.0.0.1:8080").await;
    let service = Service::new("billing", settings("[billing]\ninstance = 'b-1'\n")).expect("a name");
    let _: Option<String> = service.section().optional("instance");
    let error = service.run_until(Shutdown::new()).await.expect_err("8080 is taken");
    let said = messagekit::chain(&error);
    assert!(
        said.contains("set another in MESSAGEKIT_BILLING__LISTEN") && said.contains("127.0.0.1:8080"),
        "{said}"
    );
}

#[test]
fn a_name_that_no_variable_can_carry_is_refused() {
    for name in ["", "Billing", "a b", "1st", "order__service", "billing-", "kafka", "bridge", "database"] {
        let error = Service::new(name, settings("")).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{name}");
    }
    for name in ["billing", "order-service", "order_service", "b2"] {
        drop(Service::new(name, settings("")).expect(name));
    }
}
