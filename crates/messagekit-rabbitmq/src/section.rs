//! The section `[rabbitmq]` of a configuration.

use messagekit_config::{Secret, Section};

use crate::RabbitMq;

impl RabbitMq {
    /// Reads the section `[rabbitmq]` of a program's configuration. `None` only if that is a reported problem.
    ///
    /// | key | meaning |
    /// |---|---|
    /// | `url`, or `url_file` | the [address](Self::new), with user and password |
    /// | `ca_file` | the [certificates](Self::ca_file) of further authorities; a relative path starts at the file of the configuration |
    ///
    /// ```
    /// use messagekit_config::Configuration;
    /// use messagekit_rabbitmq::RabbitMq;
    ///
    /// let variables = [("MESSAGEKIT_RABBITMQ__URL", "amqps://shipping:secret@broker.internal/orders")];
    /// let configuration = Configuration::read(("shipping.toml", ""), variables)?;
    /// let rabbitmq = configuration.complete(RabbitMq::from_section(&configuration.section("rabbitmq")))?;
    /// let orders = rabbitmq.queue("shipping.orders");
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub fn from_section(section: &Section<'_>) -> Option<Self> {
        Self::with_url(section, section.required_secret("url"))
    }

    /// As [`from_section`](Self::from_section), with the address of a command line, which overrides that of the section.
    pub fn from_section_at(section: &Section<'_>, url: Secret) -> Option<Self> {
        section.secret("url");
        Self::with_url(section, Some(url))
    }

    fn with_url(section: &Section<'_>, url: Option<Secret>) -> Option<Self> {
        let ca_file = section.path("ca_file");
        let rabbitmq = Self::new(url?.expose()).map_err(|error| section.problem("url", error)).ok()?;
        match ca_file {
            Some(file) => rabbitmq.ca_file(file).map_err(|error| section.problem("ca_file", error)).ok(),
            None => Some(rabbitmq),
        }
    }
}

#[cfg(test)]
mod tests {
    use messagekit_config::{Configuration, Secret};

    use crate::RabbitMq;

    #[test]
    fn the_address_of_a_command_line_wins() {
        let file = "[rabbitmq]\nurl = 'amqp://me:s3cret@written/shop'\n";
        for text in ["", file] {
            let configuration = Configuration::read(("shop.toml", text), [("", "")]).expect("it is TOML");
            let section = configuration.section("rabbitmq");
            let rabbitmq = RabbitMq::from_section_at(&section, Secret::new("amqp://you@given/shop"));
            let rabbitmq = configuration.complete(rabbitmq).expect("nothing is wrong");
            assert_eq!(rabbitmq.uri.authority.host, "given");
        }
        let configuration = Configuration::read(("shop.toml", file), [("", "")]).expect("it is TOML");
        let rabbitmq = RabbitMq::from_section(&configuration.section("rabbitmq"));
        assert_eq!(configuration.complete(rabbitmq).expect("nothing is wrong").uri.authority.host, "written");
    }

    #[test]
    fn certificates_are_those_beside_the_file() {
        let file = "[rabbitmq]\nurl = 'amqps://me:s3cret@rabbit/shop'\nca_file = 'gone.pem'\n";
        let configuration = Configuration::read(("shop.toml", file), [("", "")]).expect("it is TOML");
        assert!(RabbitMq::from_section(&configuration.section("rabbitmq")).is_none());
        let said = configuration.finish().expect_err("there is no such file").to_string();
        assert!(said.contains("rabbitmq.ca_file (shop.toml:3)") && !said.contains("s3cret"), "{said}");
    }
}
