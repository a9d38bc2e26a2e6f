use messagekit::Event;

#[derive(Event)]
#[event(type)]
struct NoValue {}

#[derive(Event)]
#[event(type("orders.order.placed"))]
struct Parentheses {}

#[derive(Event)]
#[event(type = "a.b", version = 1.2)]
struct Number {}

#[derive(Event)]
#[event(type = "a.b", version = 2)]
struct WholeNumber {}

#[derive(Event)]
#[event(type = "a.b", key = order_id)]
struct Name {
    order_id: u8,
}

#[derive(Event)]
#[event(type = b"a.b")]
struct Bytes {}

#[derive(Event)]
#[event(type = concat!("a", ".b"))]
struct Macro {}

#[derive(Event)]
#[event(type = "a.b" key = "id")]
struct NoComma {
    id: u8,
}

#[derive(Event)]
#[event(type = "a.b",, key = "id")]
struct TwoCommas {
    id: u8,
}

#[derive(Event)]
#[event(type = "a.b", "id")]
struct NoKey {
    id: u8,
}

#[derive(Event)]
#[event(type = "a.b", topics = "a")]
struct NearKey {}

#[derive(Event)]
#[event(type = "a.b", retries = 3)]
struct FarKey {}

fn main() {}
