//! A message that ends its process again and again is set apart for good.

use std::time::Duration;

use crate::shop::Shop;
use crate::time::wait_until;
use crate::worker::Role;

/// After so many deaths a letter is not run again.
const KILLS: i64 = 5;

#[test]
fn a_letter_that_ends_its_process_five_times_is_dead() {
    let shop = Shop::new();
    // Order 17 is spoiled and 23 is shaky, so each has a letter that is run again.
    shop.start(Role::Orders { count: 25, seed: 1 }).until_done();
    let letters = shop.book.orders().values().filter(|order| order.kind != crate::book::Kind::Placed).count();
    assert_eq!(letters, 2);
    for _ in 0..2 * KILLS {
        shop.that_crashes(Role::Billing, "retry.leased:1").until_crashed();
    }
    let healthy = shop.start(Role::Billing);
    wait_until("the letters are dead", Duration::from_secs(60), || shop.look().letters_to_run() == 0);
    healthy.finish();

    let view = shop.look();
    let states = view.all("SELECT state, kind, kills FROM messagekit_dead_letters", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    assert_eq!(states, vec![("dead".to_owned(), "process_killer".to_owned(), KILLS); 2]);
    assert_eq!(view.number("SELECT count(*) FROM bills WHERE number IN (17, 23)"), 0);
    assert_eq!(view.number("SELECT count(*) FROM messagekit_processed_messages WHERE outcome = 1"), 2);
}
