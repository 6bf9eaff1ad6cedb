-- series_on_timescaledb --
SELECT EXISTS (SELECT FROM schema_migration WHERE name LIKE '%%.timescaledb') AS yes

-- partitions_wanted --
-- On plain PostgreSQL: those of this month and the coming ones, and of what is in the default partitions.
SELECT series, month FROM (
    SELECT series, (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead))::date AS month
    FROM unnest(ARRAY['event', 'reading']) AS series CROSS JOIN generate_series(0, %(ahead)s) AS ahead
    UNION
    SELECT 'event', date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date FROM event_default
    UNION
    SELECT 'reading', date_trunc('month', sampled_at AT TIME ZONE 'UTC')::date FROM reading_default
) AS wanted
WHERE to_regclass(quote_ident(format('%%s_%%s', series, to_char(month, 'YYYY_MM')))) IS NULL
ORDER BY month DESC, series
LIMIT %(limit)s

-- partition_make --
SELECT make_partition(%(series)s, %(month)s) AS moved

-- chunks_to_compress --
-- Those that were never compressed first; then those that late rows or deletions have opened.
SELECT format('%%I.%%I', chunk_schema, chunk_name) AS chunk, is_compressed AS opened
FROM timescaledb_information.chunks
WHERE hypertable_name = ANY (ARRAY['event', 'reading', 'reading_hour'])
  AND hypertable_schema = current_schema()
  AND range_end <= now() - make_interval(days => %(days)s)
  AND (NOT is_compressed OR ARRAY['PARTIAL', 'UNORDERED']
       && _timescaledb_functions.chunk_status_text(format('%%I.%%I', chunk_schema, chunk_name)::regclass))
ORDER BY is_compressed, range_end DESC

-- chunk_compress --
SELECT compress_chunk(%(chunk)s::regclass)

-- relations_with_dead_rows --
-- Of the series' chunks or partitions. Autovacuum waits for a fifth of a table; a few erased rows never are.
SELECT n.nspname AS schema, c.relname AS name
FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE s.n_dead_tup > 0 AND s.relid = ANY (%(relations)s::oid[])
  AND coalesce(greatest(s.last_vacuum, s.last_autovacuum), '-infinity') < now() - interval '12 hours'
ORDER BY s.n_dead_tup DESC
LIMIT %(limit)s

-- series_relations --
SELECT i.inhrelid AS relation FROM pg_inherits i
WHERE i.inhparent = ANY (ARRAY['event', 'reading', 'reading_hour']::regclass[])
UNION ALL SELECT 'reading_hour'::regclass::oid

-- series_relations_compressed --
SELECT s.compress_relid::oid AS relation FROM _timescaledb_catalog.compression_settings s
JOIN pg_inherits i ON i.inhrelid = s.relid
WHERE i.inhparent = ANY (ARRAY['event', 'reading', 'reading_hour']::regclass[]) AND s.compress_relid IS NOT NULL

-- relation_vacuum --
VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF, ANALYZE) {relation}

-- rollup_take --
-- Whoever has this row rolls up; another one waits for the end of the step.
SELECT followed_to, fill_next, fill_last,
       least(now(), followed_to + make_interval(secs => %(step_s)s)) AS until, now() AS now
FROM reading_rollup FOR UPDATE

-- rollup_fill --
SELECT rolled.hours, rolled.days FROM (
    SELECT array_agg(locker_id) AS lockers, array_agg(hour) AS hours
    FROM (SELECT DISTINCT locker_id, date_bin('1 hour', sampled_at, '2000-01-01 00:00+00') AS hour FROM reading
          WHERE sampled_at >= %(day)s AND sampled_at < %(day)s::timestamptz + interval '24 hours') AS there
) AS found CROSS JOIN LATERAL roll_up(found.lockers, found.hours) AS rolled

-- rollup_filled --
UPDATE reading_rollup SET fill_next = CASE WHEN fill_next < fill_last THEN fill_next + 1 END

-- rollup_follow --
-- What was stored since the last step, and a little before: a transaction ends after it began. Of samples that are not
-- so old that their chunk may be compressed.
SELECT rolled.hours, rolled.days FROM (
    SELECT array_agg(locker_id) AS lockers, array_agg(hour) AS hours
    FROM (SELECT DISTINCT locker_id, date_bin('1 hour', sampled_at, '2000-01-01 00:00+00') AS hour FROM reading
          WHERE stored_at >= %(followed_to)s::timestamptz - make_interval(secs => %(overlap_s)s)
            AND stored_at < %(until)s
            AND sampled_at >= now() - make_interval(days => %(days)s)) AS there
) AS found CROSS JOIN LATERAL roll_up(found.lockers, found.hours) AS rolled

-- rollup_followed --
UPDATE reading_rollup SET followed_to = %(until)s
