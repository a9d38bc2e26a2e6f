-- By topic first inside a shard: what a broker does not take at the moment is passed over without a look, however much it is.
ALTER TABLE messagekit.outbox_pending DROP CONSTRAINT outbox_pending_pkey, ADD PRIMARY KEY (shard, topic, seq);
