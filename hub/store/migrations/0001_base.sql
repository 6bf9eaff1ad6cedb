-- Registry, ledger cursors, commands, quarantine: tables that are small or keyed, the same on every PostgreSQL.

CREATE TABLE tenant (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{1,32}$'),
    name text NOT NULL
);
INSERT INTO tenant (id, name) VALUES ('default', 'Default');

CREATE TABLE locker (
    -- The id is the account at the broker too, where hub-… are the hub's own.
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{1,32}$' AND id !~ '^hub-'),
    tenant_id text NOT NULL DEFAULT 'default' REFERENCES tenant,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    site text NOT NULL DEFAULT '' CHECK (length(site) <= 120),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE door (
    locker_id text NOT NULL REFERENCES locker ON DELETE CASCADE,
    number smallint NOT NULL CHECK (number BETWEEN 1 AND 999),
    label text NOT NULL CHECK (length(label) BETWEEN 1 AND 40),
    size text NOT NULL DEFAULT 'M' CHECK (size IN ('S', 'M', 'L', 'XL')),
    grid_row smallint NOT NULL CHECK (grid_row BETWEEN 1 AND 99),
    grid_column smallint NOT NULL CHECK (grid_column BETWEEN 1 AND 99),
    in_service boolean NOT NULL DEFAULT true,
    service_reason text CHECK (length(service_reason) <= 200),
    PRIMARY KEY (locker_id, number)
);

-- Hubs follow the registry by this number: one cheap query says whether anything changed.
CREATE TABLE registry_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL
);
INSERT INTO registry_version (version) VALUES (1);

CREATE FUNCTION registry_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE registry_version SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER locker_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON locker
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();
CREATE TRIGGER door_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON door
    FOR EACH STATEMENT EXECUTE FUNCTION registry_changed();

-- The next number of each locker's ledger. It advances in the transaction that stores the rows: this, and not a
-- key of the event table, is what makes an event stored once.
CREATE TABLE ledger_cursor (
    locker_id text NOT NULL,
    epoch uuid NOT NULL,
    next_seq bigint NOT NULL CHECK (next_seq >= 1),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (locker_id, epoch)
) WITH (fillfactor = 70);

-- What can never come: numbers that the locker itself no longer has.
CREATE TABLE ledger_gap (
    locker_id text NOT NULL,
    epoch uuid NOT NULL,
    from_seq bigint NOT NULL,
    to_seq bigint NOT NULL CHECK (to_seq >= from_seq),
    declared_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (locker_id, epoch, from_seq)
);

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL,
    topic text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL
);
CREATE INDEX quarantine_received ON quarantine (received_at);

CREATE TABLE command (
    id uuid PRIMARY KEY,
    locker_id text NOT NULL,
    kind text NOT NULL,
    door smallint,
    actor_id uuid,
    reason text,
    accepted_at timestamptz NOT NULL,
    deadline_ms integer NOT NULL,
    state text NOT NULL,
    detail text,
    outcome text,
    late boolean NOT NULL,
    stages_ms jsonb NOT NULL
);
CREATE INDEX command_locker ON command (locker_id, accepted_at DESC);
