use messagekit_testkit::block_on;

use crate::shop::{Shop, TRACE};

#[test]
fn log_lines_of_a_handler_name_their_trace() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("o-1").await;
        let ran = shop.consume(1).await;
        let lines: Vec<&str> = ran.log.lines().filter(|line| line.contains("billing order_id=")).collect();
        let [line] = lines[..] else { panic!("{}", ran.log) };
        assert!(line.ends_with(&format!("order_id=\"o-1\" trace_id={TRACE}")), "{line}");
    });
}
