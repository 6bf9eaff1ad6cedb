-- Telemetry rolled up by the hour and by the day: the same two tables on every database, filled by the upkeep.

-- When the row came to the table: the start of the transaction that wrote it. Who follows the table by this time, and
-- leaves the newest seconds for later, misses nothing, however late a sample comes. Rows that are here already say
-- 2000; a constant costs no rewrite of the table.
ALTER TABLE reading ADD COLUMN stored_at timestamptz NOT NULL DEFAULT '2000-01-01 00:00+00';
ALTER TABLE reading ALTER COLUMN stored_at SET DEFAULT now();
ALTER TABLE reading ADD CONSTRAINT reading_stored_at
    CHECK (stored_at BETWEEN '2000-01-01 00:00+00' AND '9999-01-01 00:00+00');
-- What PostgreSQL takes and nobody can read back: infinity, and years of five digits.
ALTER TABLE reading ADD CONSTRAINT reading_received_at
    CHECK (received_at BETWEEN '2000-01-01 00:00+00' AND '9999-01-01 00:00+00');
ALTER TABLE event
    ADD CONSTRAINT event_received_at CHECK (received_at BETWEEN '2000-01-01 00:00+00' AND '9999-01-01 00:00+00'),
    -- As its locker's clock had it, right or wrong.
    ADD CONSTRAINT event_stamped_at
        CHECK (stamped_at BETWEEN '1970-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00');
CREATE INDEX reading_stored ON reading USING brin (stored_at) WITH (pages_per_range = 32, autosummarize = on);

-- `bucket` is its start, in UTC. A count beside each average: samples need not have every value, and a day's average is
-- that of its samples and not of its hours.
CREATE TABLE reading_hour (
    locker_id text NOT NULL,
    bucket timestamptz NOT NULL CHECK (bucket BETWEEN '1999-12-31 00:00+00' AND '9999-01-01 00:00+00'),
    samples integer NOT NULL CHECK (samples > 0),
    temperature_c_min real, temperature_c_avg real, temperature_c_max real, temperature_c_count integer NOT NULL,
    humidity_pct_min real, humidity_pct_avg real, humidity_pct_max real, humidity_pct_count integer NOT NULL,
    supply_v_min real, supply_v_avg real, supply_v_max real, supply_v_count integer NOT NULL,
    battery_pct_min real, battery_pct_avg real, battery_pct_max real, battery_pct_count integer NOT NULL,
    rssi_dbm_min real, rssi_dbm_avg real, rssi_dbm_max real, rssi_dbm_count integer NOT NULL,
    cpu_temp_c_min real, cpu_temp_c_avg real, cpu_temp_c_max real, cpu_temp_c_count integer NOT NULL,
    cpu_pct_min real, cpu_pct_avg real, cpu_pct_max real, cpu_pct_count integer NOT NULL,
    memory_pct_min real, memory_pct_avg real, memory_pct_max real, memory_pct_count integer NOT NULL,
    disk_free_mb_min real,
    outbox_events_max integer,
    board_errors_max integer,
    dropped_max integer,
    PRIMARY KEY (locker_id, bucket)
);
CREATE TABLE reading_day (LIKE reading_hour INCLUDING ALL);

-- How far the roll-ups are. Samples that were here before are taken day by day, from fill_next to fill_last; all others
-- by the time at which they were stored.
CREATE TABLE reading_rollup (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    followed_to timestamptz NOT NULL,
    fill_next date,
    fill_last date
);
INSERT INTO reading_rollup (followed_to, fill_next, fill_last)
SELECT now(), (min(sampled_at) AT TIME ZONE 'UTC')::date, (max(sampled_at) AT TIME ZONE 'UTC')::date FROM reading;

-- Computes these hours again from the samples. Right as often as it is called; an hour without samples stays as it was,
-- so that what was rolled up outlives its samples.
CREATE FUNCTION roll_up_hours(of_lockers text[], of_hours timestamptz[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first_hour timestamptz := (SELECT min(hour) FROM unnest(of_hours) AS hour);
    last_hour timestamptz := (SELECT max(hour) FROM unnest(of_hours) AS hour);
    rolled bigint;
BEGIN
    INSERT INTO reading_hour AS kept (locker_id, bucket, samples,
        temperature_c_min, temperature_c_avg, temperature_c_max, temperature_c_count, humidity_pct_min,
        humidity_pct_avg, humidity_pct_max, humidity_pct_count, supply_v_min, supply_v_avg, supply_v_max,
        supply_v_count, battery_pct_min, battery_pct_avg, battery_pct_max, battery_pct_count, rssi_dbm_min,
        rssi_dbm_avg, rssi_dbm_max, rssi_dbm_count, cpu_temp_c_min, cpu_temp_c_avg, cpu_temp_c_max,
        cpu_temp_c_count, cpu_pct_min, cpu_pct_avg, cpu_pct_max, cpu_pct_count, memory_pct_min, memory_pct_avg,
        memory_pct_max, memory_pct_count, disk_free_mb_min, outbox_events_max, board_errors_max, dropped_max)
    SELECT one.locker, one.hour, count(*),
        min(r.temperature_c), avg(r.temperature_c), max(r.temperature_c), count(r.temperature_c),
        min(r.humidity_pct), avg(r.humidity_pct), max(r.humidity_pct), count(r.humidity_pct),
        min(r.supply_v), avg(r.supply_v), max(r.supply_v), count(r.supply_v),
        min(r.battery_pct), avg(r.battery_pct), max(r.battery_pct), count(r.battery_pct),
        min(r.rssi_dbm), avg(r.rssi_dbm), max(r.rssi_dbm), count(r.rssi_dbm),
        min(r.cpu_temp_c), avg(r.cpu_temp_c), max(r.cpu_temp_c), count(r.cpu_temp_c),
        min(r.cpu_pct), avg(r.cpu_pct), max(r.cpu_pct), count(r.cpu_pct),
        min(r.memory_pct), avg(r.memory_pct), max(r.memory_pct), count(r.memory_pct), min(r.disk_free_mb),
        max(r.outbox_events), max(r.board_errors), max(r.dropped)
    FROM unnest(of_lockers, of_hours) AS one (locker, hour)
    JOIN reading r ON r.locker_id = one.locker AND r.sampled_at >= one.hour
        AND r.sampled_at < one.hour + interval '1 hour'
        AND r.sampled_at >= first_hour AND r.sampled_at < last_hour + interval '1 hour'
    GROUP BY one.locker, one.hour
    ON CONFLICT (locker_id, bucket) DO UPDATE SET
        samples = excluded.samples, temperature_c_min = excluded.temperature_c_min,
        temperature_c_avg = excluded.temperature_c_avg, temperature_c_max = excluded.temperature_c_max,
        temperature_c_count = excluded.temperature_c_count, humidity_pct_min = excluded.humidity_pct_min,
        humidity_pct_avg = excluded.humidity_pct_avg, humidity_pct_max = excluded.humidity_pct_max,
        humidity_pct_count = excluded.humidity_pct_count, supply_v_min = excluded.supply_v_min,
        supply_v_avg = excluded.supply_v_avg, supply_v_max = excluded.supply_v_max,
        supply_v_count = excluded.supply_v_count, battery_pct_min = excluded.battery_pct_min,
        battery_pct_avg = excluded.battery_pct_avg, battery_pct_max = excluded.battery_pct_max,
        battery_pct_count = excluded.battery_pct_count, rssi_dbm_min = excluded.rssi_dbm_min,
        rssi_dbm_avg = excluded.rssi_dbm_avg, rssi_dbm_max = excluded.rssi_dbm_max,
        rssi_dbm_count = excluded.rssi_dbm_count, cpu_temp_c_min = excluded.cpu_temp_c_min,
        cpu_temp_c_avg = excluded.cpu_temp_c_avg, cpu_temp_c_max = excluded.cpu_temp_c_max,
        cpu_temp_c_count = excluded.cpu_temp_c_count, cpu_pct_min = excluded.cpu_pct_min,
        cpu_pct_avg = excluded.cpu_pct_avg, cpu_pct_max = excluded.cpu_pct_max,
        cpu_pct_count = excluded.cpu_pct_count, memory_pct_min = excluded.memory_pct_min,
        memory_pct_avg = excluded.memory_pct_avg, memory_pct_max = excluded.memory_pct_max,
        memory_pct_count = excluded.memory_pct_count, disk_free_mb_min = excluded.disk_free_mb_min,
        outbox_events_max = excluded.outbox_events_max, board_errors_max = excluded.board_errors_max,
        dropped_max = excluded.dropped_max;
    GET DIAGNOSTICS rolled = ROW_COUNT;
    RETURN rolled;
END $$;

-- Computes these days again from their hours.
CREATE FUNCTION roll_up_days(of_lockers text[], of_days timestamptz[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first_day timestamptz := (SELECT min(day) FROM unnest(of_days) AS day);
    last_day timestamptz := (SELECT max(day) FROM unnest(of_days) AS day);
    rolled bigint;
BEGIN
    INSERT INTO reading_day AS kept (locker_id, bucket, samples,
        temperature_c_min, temperature_c_avg, temperature_c_max, temperature_c_count, humidity_pct_min,
        humidity_pct_avg, humidity_pct_max, humidity_pct_count, supply_v_min, supply_v_avg, supply_v_max,
        supply_v_count, battery_pct_min, battery_pct_avg, battery_pct_max, battery_pct_count, rssi_dbm_min,
        rssi_dbm_avg, rssi_dbm_max, rssi_dbm_count, cpu_temp_c_min, cpu_temp_c_avg, cpu_temp_c_max,
        cpu_temp_c_count, cpu_pct_min, cpu_pct_avg, cpu_pct_max, cpu_pct_count, memory_pct_min, memory_pct_avg,
        memory_pct_max, memory_pct_count, disk_free_mb_min, outbox_events_max, board_errors_max, dropped_max)
    SELECT one.locker, one.day, sum(h.samples),

        min(h.temperature_c_min), sum(h.temperature_c_avg::float8 * h.temperature_c_count) / nullif(sum(h.temperature_c_count), 0), max(h.temperature_c_max), sum(h.temperature_c_count),
        min(h.humidity_pct_min), sum(h.humidity_pct_avg::float8 * h.humidity_pct_count) / nullif(sum(h.humidity_pct_count), 0), max(h.humidity_pct_max), sum(h.humidity_pct_count),
        min(h.supply_v_min), sum(h.supply_v_avg::float8 * h.supply_v_count) / nullif(sum(h.supply_v_count), 0), max(h.supply_v_max), sum(h.supply_v_count),
        min(h.battery_pct_min), sum(h.battery_pct_avg::float8 * h.battery_pct_count) / nullif(sum(h.battery_pct_count), 0), max(h.battery_pct_max), sum(h.battery_pct_count),
        min(h.rssi_dbm_min), sum(h.rssi_dbm_avg::float8 * h.rssi_dbm_count) / nullif(sum(h.rssi_dbm_count), 0), max(h.rssi_dbm_max), sum(h.rssi_dbm_count),
        min(h.cpu_temp_c_min), sum(h.cpu_temp_c_avg::float8 * h.cpu_temp_c_count) / nullif(sum(h.cpu_temp_c_count), 0), max(h.cpu_temp_c_max), sum(h.cpu_temp_c_count),
        min(h.cpu_pct_min), sum(h.cpu_pct_avg::float8 * h.cpu_pct_count) / nullif(sum(h.cpu_pct_count), 0), max(h.cpu_pct_max), sum(h.cpu_pct_count),
        min(h.memory_pct_min), sum(h.memory_pct_avg::float8 * h.memory_pct_count) / nullif(sum(h.memory_pct_count), 0), max(h.memory_pct_max), sum(h.memory_pct_count),
        min(h.disk_free_mb_min), max(h.outbox_events_max), max(h.board_errors_max), max(h.dropped_max)
    FROM unnest(of_lockers, of_days) AS one (locker, day)
    JOIN reading_hour h ON h.locker_id = one.locker AND h.bucket >= one.day
        AND h.bucket < one.day + interval '24 hours'
        AND h.bucket >= first_day AND h.bucket < last_day + interval '24 hours'
    GROUP BY one.locker, one.day
    ON CONFLICT (locker_id, bucket) DO UPDATE SET
        samples = excluded.samples, temperature_c_min = excluded.temperature_c_min,
        temperature_c_avg = excluded.temperature_c_avg, temperature_c_max = excluded.temperature_c_max,
        temperature_c_count = excluded.temperature_c_count, humidity_pct_min = excluded.humidity_pct_min,
        humidity_pct_avg = excluded.humidity_pct_avg, humidity_pct_max = excluded.humidity_pct_max,
        humidity_pct_count = excluded.humidity_pct_count, supply_v_min = excluded.supply_v_min,
        supply_v_avg = excluded.supply_v_avg, supply_v_max = excluded.supply_v_max,
        supply_v_count = excluded.supply_v_count, battery_pct_min = excluded.battery_pct_min,
        battery_pct_avg = excluded.battery_pct_avg, battery_pct_max = excluded.battery_pct_max,
        battery_pct_count = excluded.battery_pct_count, rssi_dbm_min = excluded.rssi_dbm_min,
        rssi_dbm_avg = excluded.rssi_dbm_avg, rssi_dbm_max = excluded.rssi_dbm_max,
        rssi_dbm_count = excluded.rssi_dbm_count, cpu_temp_c_min = excluded.cpu_temp_c_min,
        cpu_temp_c_avg = excluded.cpu_temp_c_avg, cpu_temp_c_max = excluded.cpu_temp_c_max,
        cpu_temp_c_count = excluded.cpu_temp_c_count, cpu_pct_min = excluded.cpu_pct_min,
        cpu_pct_avg = excluded.cpu_pct_avg, cpu_pct_max = excluded.cpu_pct_max,
        cpu_pct_count = excluded.cpu_pct_count, memory_pct_min = excluded.memory_pct_min,
        memory_pct_avg = excluded.memory_pct_avg, memory_pct_max = excluded.memory_pct_max,
        memory_pct_count = excluded.memory_pct_count, disk_free_mb_min = excluded.disk_free_mb_min,
        outbox_events_max = excluded.outbox_events_max, board_errors_max = excluded.board_errors_max,
        dropped_max = excluded.dropped_max;
    GET DIAGNOSTICS rolled = ROW_COUNT;
    RETURN rolled;
END $$;

-- Both of these: the hours, and then the days that they are in.
CREATE FUNCTION roll_up(of_lockers text[], of_hours timestamptz[], OUT hours bigint, OUT days bigint)
LANGUAGE plpgsql AS $$
BEGIN
    hours := roll_up_hours(of_lockers, of_hours);
    days := (
        SELECT roll_up_days(array_agg(locker), array_agg(day))
        FROM (SELECT DISTINCT locker, date_bin('24 hours', hour, '2000-01-01 00:00+00') AS day
              FROM unnest(of_lockers, of_hours) AS one (locker, hour)) AS touched
    );
END $$;
