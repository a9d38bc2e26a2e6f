-- The generation that a claim under a greater one has replaced, so that the claim can be taken back. Without the older marker
-- the message would be fresh to whoever knows of no range, and be applied a second time.
ALTER TABLE messagekit.processed_messages ADD COLUMN earlier int;
