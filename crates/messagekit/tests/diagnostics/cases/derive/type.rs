use messagekit::Event;

#[derive(Event)]
#[event(type = "")]
struct Empty {}

#[derive(Event)]
#[event(type = "placed")]
struct OneSegment {}

#[derive(Event)]
#[event(type = "orders..placed")]
struct EmptySegment {}

#[derive(Event)]
#[event(type = "Orders.OrderPlaced")]
struct Capitals {}

#[derive(Event)]
#[event(type = "orders.order placed")]
struct Blank {}

#[derive(Event)]
#[event(type = "orders.-placed")]
struct Hyphen {}

#[derive(Event)]
#[event(type = "orders.loooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooong.placed")]
struct Long {}

fn main() {}
