use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b", source = "")]
struct Empty {}

#[derive(Event)]
#[event(type = "a.b", source = "WebShop")]
struct Capitals {}

#[derive(Event)]
#[event(type = "a.b", source = "2shop")]
struct Digit {}

fn main() {}
