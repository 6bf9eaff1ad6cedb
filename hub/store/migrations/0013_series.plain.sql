-- Partitions that are made without a lock that anybody waits for, also where rows of their month came before them.

CREATE INDEX reading_hour_time ON reading_hour USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);

-- Makes the partition of one month and moves into it what the default partition has of that month. Returns how many
-- rows those were; null if the partition was there. Readers see all rows at any time. Writers wait for the second move,
-- which finds only what came during the first, and at the table itself: one that waited at the default partition would
-- have chosen it already, and be refused, because the row does not belong there any more.
CREATE FUNCTION make_partition(series text, first_day date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first_day::timestamp);
    since timestamptz := month::timestamp AT TIME ZONE 'UTC';
    before timestamptz := (month + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    part text := format('%s_%s', series, to_char(month, 'YYYY_MM'));
    rest text := format('%s_default', series);
    clock text := CASE series WHEN 'event' THEN 'occurred_at' ELSE 'sampled_at' END;
    move text := format(
        'WITH gone AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *) INSERT INTO %5$I SELECT * FROM gone',
        rest, clock, since, before, part
    );
    first_rows bigint;
    late_rows bigint;
BEGIN
    IF to_regclass(quote_ident(part)) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, series);
    -- Spares the scan of the new table when it is attached.
    EXECUTE format(
        'ALTER TABLE %I ADD CONSTRAINT of_month CHECK (%2$I >= %3$L AND %2$I < %4$L)', part, clock, since, before
    );
    EXECUTE move;
    GET DIAGNOSTICS first_rows = ROW_COUNT;
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE ROW EXCLUSIVE MODE', series);
    EXECUTE move;
    GET DIAGNOSTICS late_rows = ROW_COUNT;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', series, part, since, before);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT of_month', part);
    RETURN first_rows + late_rows;
END $$;

CREATE OR REPLACE FUNCTION make_partitions(series text, first_month date, months_ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first_month::timestamp);
    made integer := 0;
BEGIN
    WHILE month <= date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead) LOOP
        IF make_partition(series, month) IS NOT NULL THEN
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;
