use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b")]
struct Unit;

#[derive(Event)]
#[event(type = "a.b")]
struct Tuple(String, u64);

#[derive(Event)]
#[event(type = "a.b")]
enum Order {
    Placed {},
    Paid {},
}

#[derive(Event)]
#[event(type = "a.b")]
union Bits {
    whole: u32,
    half: u16,
}

#[derive(Event)]
#[event(type = "a.b")]
struct Borrowed<'a> {
    id: &'a str,
}

fn main() {}
