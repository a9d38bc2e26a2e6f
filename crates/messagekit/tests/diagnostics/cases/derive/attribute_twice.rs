use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b", key = "id", type = "c.d")]
struct Key {
    id: u8,
}

#[derive(Event)]
#[event(type = "a.b")]
#[event(key = "id")]
struct Attribute {
    id: u8,
}

#[derive(Event)]
#[event(type = "a.b")]
struct OnAField {
    #[event(key)]
    id: u8,
}

fn main() {}
