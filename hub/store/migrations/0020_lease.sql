-- Which of several hubs with the same broker accounts is active: a row for each set of accounts (hub.core.lease).
CREATE TABLE hub_lease (
    -- The broker's address and the hub's accounts there, or service.lease_name. Data of the operator, of no person.
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 500),
    -- The active hub's id, made anew each time that a hub starts; null: no hub is active.
    holder uuid,
    -- Where it runs: the name of the machine and the process, for people who look for it. Data of the operator.
    node text CHECK (length(node) <= 300),
    since timestamptz,
    -- By this database's clock alone.
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    -- The session in which it was renewed, and when the database server that had it was started.
    session_pid integer,
    session_started_at timestamptz,
    server_started_at timestamptz,
    -- Counts every change.
    renewals bigint NOT NULL DEFAULT 0
);
