-- Columns for what is old: chunks are compressed by the hub's upkeep (decision 0008), none by a policy.

-- A locker's rows lie together, newest first, as they are asked for. The sparse indexes tell which batches of a
-- thousand rows need not be read; minmax only where a column is never null.
ALTER TABLE event SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'locker_id',
    timescaledb.orderby = 'occurred_at DESC, seq DESC',
    timescaledb.sparse_index = 'bloom(actor_id), bloom(command_id), bloom(transaction_id), bloom(kind)'
);
ALTER TABLE reading SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'locker_id',
    timescaledb.orderby = 'sampled_at DESC',
    timescaledb.sparse_index = 'minmax(stored_at)'
);

SELECT create_hypertable('reading_hour', by_range('bucket', interval '28 days'), create_default_indexes => false);
ALTER TABLE reading_hour SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'locker_id',
    timescaledb.orderby = 'bucket DESC',
    timescaledb.sparse_index = ''
);

-- What every session of this database is to have. Called by each `hub migrate`: a dump does not carry such settings.
--  * SkipScan leaves rows out where a chunk is compressed in part (fixed in 2.29.2, which PostgreSQL 15 does not get).
--  * The limit on decompressed rows fails a transaction that is otherwise right, again each time it is tried: late
--    events that come to a compressed chunk, or an erasure.
CREATE FUNCTION series_settings() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- Only a database's owner may set it for all; everybody may for himself.
    whose text := CASE
        WHEN pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER')
        THEN format('DATABASE %I', current_database())
        ELSE format('ROLE %I IN DATABASE %I', current_user, current_database()) END;
BEGIN
    EXECUTE format('ALTER %s SET timescaledb.enable_skipscan = off', whose);
    EXECUTE format('ALTER %s SET timescaledb.enable_compressed_skipscan = off', whose);
    EXECUTE format('ALTER %s SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0', whose);
END $$;
