"""Topics of Kafka for ``messagekit_rs.replay``, which loads this package when a reader of Kafka is opened. There is nothing to call here."""
