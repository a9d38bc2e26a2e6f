use messagekit::Event;

#[derive(Event)]
struct OrderLineAdded {}

#[derive(Event)]
#[event]
struct Bare {}

#[derive(Event)]
#[event()]
struct Empty {}

#[derive(Event)]
#[event = "orders.order.placed"]
struct Assigned {}

#[derive(Event)]
#[event("orders.order.placed")]
struct OnlyAString {}

#[derive(Event)]
#[event(key = "id")]
struct WithoutType {
    id: u8,
}

fn main() {}
