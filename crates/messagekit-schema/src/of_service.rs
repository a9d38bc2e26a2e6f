//! The contracts of a service that says who it is.

use messagekit::Error;

use super::contracts::{Contract, Contracts};
use super::service::{EventVersion, Service};

impl Contracts {
    /// Says whose contracts they are, and which of the events the service writes and reads.
    ///
    /// ```
    /// use messagekit::Event;
    /// use messagekit_schema::{Contract, Contracts, Service};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(type = "orders.order.placed", key = "order_id")]
    /// struct OrderPlaced { order_id: String }
    ///
    /// let placed = Contract {
    ///     event_type: OrderPlaced::TYPE.into(),
    ///     topic: OrderPlaced::TOPIC.into(),
    ///     version: OrderPlaced::VERSION.into(),
    ///     earlier: Vec::new(),
    ///     schema: serde_json::json!({"type": "object", "properties": {"order_id": {"type": "string"}}}),
    /// };
    /// let orders = Service::new("orders").owner("team-shop").writes::<OrderPlaced>();
    /// assert!(Contracts::new([])?.of_service(orders.clone()).is_err(), "the event has no contract");
    /// let contracts = Contracts::new([placed])?.of_service(orders)?;
    /// assert_eq!(contracts.service().map(Service::name), Some("orders"));
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a name out of form, an empty owner, and an event that is written or read and has no
    /// contract in its version.
    pub fn of_service(mut self, service: Service) -> Result<Self, Error> {
        let is_of = |contract: &Contract, one: &EventVersion| one.is(&contract.event_type, &contract.version);
        let has_contract = |one: &EventVersion| self.events().iter().any(|contract| is_of(contract, one));
        self.service = Some(service.checked(has_contract)?);
        Ok(self)
    }

    /// Returns the service whose contracts they are, if they [say so](Self::of_service).
    pub fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }
}
