-- The time series on a PostgreSQL without TimescaleDB: native range partitions, a month each, made ahead of time.

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
) PARTITION BY RANGE (occurred_at);
CREATE INDEX event_locker_time ON event (locker_id, occurred_at DESC);
CREATE TABLE event_default PARTITION OF event DEFAULT;

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
) PARTITION BY RANGE (sampled_at);
CREATE INDEX reading_locker_time ON reading (locker_id, sampled_at DESC);
CREATE TABLE reading_default PARTITION OF reading DEFAULT;

-- Makes the partitions from `first_month` to `months_ahead` months after now; those that exist are left alone.
CREATE FUNCTION make_partitions(series text, first_month date, months_ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first_month);
    part text;
    made integer := 0;
BEGIN
    WHILE month <= date_trunc('month', now()) + make_interval(months => months_ahead) LOOP
        part := format('%s_%s', series, to_char(month, 'YYYY_MM'));
        IF to_regclass(part) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                part, series, month::timestamp AT TIME ZONE 'UTC',
                (month + interval '1 month')::timestamp AT TIME ZONE 'UTC'
            );
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;

SELECT make_partitions('event', (now() - interval '1 month')::date, 3);
SELECT make_partitions('reading', (now() - interval '1 month')::date, 3);
