use messagekit_testkit::block_on;

use crate::shop::{Shop, named};

#[test]
fn no_span_of_a_thousand_is_lost_at_exit() {
    block_on(async {
        let shop = Shop::open().await;
        let ran = shop.run(shop.command("write", &["1000"])).await;
        assert_eq!(ran.out, "all exported, 0 dropped\n");
        assert_eq!(named(&shop.receiver.spans(), "create orders.order").len(), 1000);
    });
}
