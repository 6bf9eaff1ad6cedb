-- What the broker says of its version ($SYS/broker/version), as the active hub heard it last. Data of no person.
ALTER TABLE hub_lease ADD COLUMN broker text CHECK (length(broker) <= 200);
