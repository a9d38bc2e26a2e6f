use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b", version = "")]
struct Empty {}

#[derive(Event)]
#[event(type = "a.b", version = "2")]
struct MajorOnly {}

#[derive(Event)]
#[event(type = "a.b", version = "1.2.3")]
struct Patch {}

#[derive(Event)]
#[event(type = "a.b", version = "v1.2")]
struct Letter {}

#[derive(Event)]
#[event(type = "a.b", version = "1.02")]
struct LeadingZero {}

#[derive(Event)]
#[event(type = "a.b", version = "4294967296.0")]
struct Large {}

fn main() {}
