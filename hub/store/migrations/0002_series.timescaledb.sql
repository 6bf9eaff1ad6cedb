-- The time series as hypertables, in chunks of seven days.

CREATE TABLE event (
    occurred_at timestamptz NOT NULL CHECK (occurred_at BETWEEN '2000-01-01' AND '9999-01-01'),
    received_at timestamptz NOT NULL,
    tenant_id text NOT NULL,
    locker_id text NOT NULL,
    epoch uuid NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    door smallint,
    actor_id uuid,
    command_id uuid,
    transaction_id uuid,
    clock text NOT NULL,
    stamped_at timestamptz NOT NULL,
    data jsonb,
    PRIMARY KEY (locker_id, epoch, seq, occurred_at)
);
CREATE INDEX event_locker_time ON event (locker_id, occurred_at DESC);
SELECT create_hypertable('event', by_range('occurred_at', interval '7 days'), create_default_indexes => false);

CREATE TABLE reading (
    sampled_at timestamptz NOT NULL CHECK (sampled_at BETWEEN '2000-01-01' AND '9999-01-01'),
    received_at timestamptz NOT NULL,
    locker_id text NOT NULL,
    temperature_c real,
    humidity_pct real,
    supply_v real,
    battery_pct real,
    rssi_dbm real,
    cpu_temp_c real,
    cpu_pct real,
    memory_pct real,
    disk_free_mb real,
    outbox_events integer,
    board_errors integer,
    dropped integer,
    extra jsonb
);
CREATE INDEX reading_locker_time ON reading (locker_id, sampled_at DESC);
SELECT create_hypertable('reading', by_range('sampled_at', interval '7 days'), create_default_indexes => false);

-- Chunks are made as rows come; the hub asks for partitions all the same, whatever the form.
CREATE FUNCTION make_partitions(series text, first_month date, months_ahead integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT 0 $$;
