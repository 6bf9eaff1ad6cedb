-- move_others --
-- A hub, or a command of one: whatever could write while the tables are exchanged.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'lockerhub%%' AND application_name <> 'lockerhub move'

-- move_under_way --
SELECT to_regclass('series_move') IS NOT NULL

-- move_state_table --
-- How far each part of the old tables is: what is before `upto` was copied. It stands as long as the move goes on, and keeps hubs away.
CREATE TABLE series_move (
    series text NOT NULL,
    part text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    upto timestamptz NOT NULL,
    verified boolean NOT NULL DEFAULT false,
    PRIMARY KEY (series, part)
)

-- move_parts_add --
INSERT INTO series_move (series, part, since, until, upto)
SELECT %(series)s, CASE WHEN lower IS NULL THEN %(old)s ELSE chunk END,
       coalesce(lower, '1999-01-01 00:00+00'), coalesce(upper, '9999-12-31 00:00+00'),
       coalesce(lower, '1999-01-01 00:00+00')
FROM series_chunks(%(series)s)
WHERE chunk <> %(series)s || '_default'

-- move_default_rows --
SELECT (SELECT count(*) FROM event_default) + (SELECT count(*) FROM reading_default)

-- move_parts --
SELECT part, since, until, upto FROM series_move WHERE series = %(series)s AND NOT verified ORDER BY since

-- move_constraints --
SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = %(series)s::regclass AND contype = 'p'

-- move_indexes --
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
WHERE i.indrelid = %(series)s::regclass AND NOT i.indisprimary ORDER BY 1

-- move_rename_index --
ALTER INDEX {name} RENAME TO {old}

-- move_rename_table --
ALTER TABLE {name} RENAME TO {old}

-- move_make_like --
CREATE TABLE {name} (LIKE {old} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)

-- move_add_key --
ALTER TABLE {name} ADD CONSTRAINT {key} {definition}

-- move_make_hypertable --
SELECT create_hypertable(
    %(series)s::text::regclass, by_range(%(clock)s, interval '7 days'), create_default_indexes => false
)

-- move_drop_function --
DROP FUNCTION IF EXISTS make_partition(text, date)

-- move_replace_function --
CREATE OR REPLACE FUNCTION make_partitions(series text, first_month date, months_ahead integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT 0 $$

-- move_relabel --
UPDATE schema_migration SET name = %(name)s, sha256 = %(sha256)s WHERE number = %(number)s

-- move_next --
SELECT min({clock}) FROM {part} WHERE {clock} >= %(upto)s

-- move_copy --
INSERT INTO {name} SELECT * FROM {part} WHERE {clock} >= %(since)s AND {clock} < %(until)s

-- move_progress --
UPDATE series_move SET upto = %(until)s WHERE series = %(series)s AND part = %(part)s

-- move_digest --
-- Whatever the order of the rows.
SELECT count(*), coalesce(sum(hashtextextended(one::text, 0)::numeric), 0)
FROM {name} AS one WHERE {clock} >= %(since)s AND {clock} < %(until)s

-- move_verified --
UPDATE series_move SET verified = true WHERE series = %(series)s AND part = %(part)s

-- move_counts --
SELECT (SELECT count(*) FROM {old}), (SELECT count(*) FROM {name})

-- move_drop --
DROP TABLE {old}

-- move_drop_state --
DROP TABLE series_move

-- move_analyze --
ANALYZE {name}
