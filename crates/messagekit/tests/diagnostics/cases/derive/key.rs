use messagekit::Event;

#[derive(Event)]
#[event(type = "a.b", key = "orderId")]
struct Near {
    customer_id: String,
    order_id: String,
}

#[derive(Event)]
#[event(type = "a.b", key = "region")]
struct Far {
    r#type: String,
}

#[derive(Event)]
#[event(type = "a.b", key = "customer.id")]
struct Path {
    customer: String,
}

#[derive(Event)]
#[event(type = "a.b", key = "id")]
struct NoFields {}

#[derive(Event)]
#[event(type = "a.b", key = "")]
struct Empty {
    id: String,
    total: u64,
}

fn main() {}
