use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b", topic = "")]
struct Empty {}

#[derive(Event)]
#[event(type = "a.b", topic = "orders/eu")]
struct Slash {}

#[derive(Event)]
#[event(type = "a.b", topic = "..")]
struct Reserved {}

#[derive(Event)]
#[event(type = "a.b", topic = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt")]
struct Long {}

fn main() {}
