-- doctor_server --
SELECT current_setting('server_version') AS version, current_user AS role, r.rolsuper AS superuser,
       current_setting('TimeZone') AS timezone, current_setting('data_checksums') = 'on' AS data_checksums,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
           - coalesce(current_setting('reserved_connections', true), '0')::integer AS connections_max,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS xid_age,
       (SELECT coalesce(max(pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)), 0)
        FROM pg_replication_slots WHERE NOT active)::bigint AS wal_kept_bytes,
       ARRAY(SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid) AS invalid_indexes,
       now() AS at
FROM pg_roles r WHERE r.rolname = current_user

-- doctor_setting --
SELECT current_setting(%(name)s, true) AS value

-- doctor_extension --
SELECT default_version AS offered, installed_version AS installed FROM pg_available_extensions WHERE name = 'timescaledb'

-- doctor_series --
-- Of one series: its parts from the oldest to the newest, the one without bounds last.
SELECT chunk, lower, upper FROM series_chunks(%(series)s)

-- doctor_series_bytes --
SELECT pg_total_relation_size(%(series)s::text::regclass) + coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint AS bytes
FROM pg_inherits WHERE inhparent = %(series)s::text::regclass

-- doctor_hypertable --
SELECT hypertable_size(%(series)s::text::regclass) AS bytes,
       (SELECT coalesce(sum(number_compressed_chunks), 0)::bigint
        FROM hypertable_columnstore_stats(%(series)s::text::regclass)) AS compressed,
       (SELECT coalesce(sum(before_compression_total_bytes), 0)::bigint
        FROM hypertable_columnstore_stats(%(series)s::text::regclass)) AS bytes_before,
       (SELECT coalesce(sum(after_compression_total_bytes), 0)::bigint
        FROM hypertable_columnstore_stats(%(series)s::text::regclass)) AS bytes_after,
       (SELECT count(*) FROM timescaledb_information.chunks
        WHERE hypertable_name = %(series)s::text AND hypertable_schema = current_schema() AND NOT is_compressed
          AND range_end <= now() - make_interval(days => %(days)s)) AS overdue

-- doctor_edges --
SELECT min({clock}) AS oldest, max({clock}) AS newest FROM {part}

-- doctor_default_rows --
SELECT count(*) AS count FROM {part}

-- doctor_tables --
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
  AND c.relname <> ALL (%(but)s::text[])
ORDER BY 2 DESC

-- doctor_upkeep --
SELECT task, every_s, known_at, started_at, ended_at, succeeded_at, error, did FROM upkeep ORDER BY task

-- doctor_jobs --
-- TimescaleDB's own are below 1000.
SELECT job_id AS id, proc_name AS proc, hypertable_name AS table FROM timescaledb_information.jobs
WHERE job_id >= 1000 ORDER BY 1

-- doctor_retention --
SELECT (SELECT max(sealed_at) FROM retention_run) AS sealed_at,
       (SELECT min(began_at) FROM retention_run WHERE sealed_at IS NULL) AS open_since,
       (SELECT count(*) FROM legal_hold WHERE released_at IS NULL AND (until IS NULL OR until > now())) AS holds

-- doctor_leases --
-- The newest first. What a lease of infinity has left is no number.
SELECT
    name, holder, node, since, broker,
    CASE WHEN isfinite(expires_at) THEN extract(epoch FROM expires_at - clock_timestamp())::float8 ELSE 0 END
        AS expires_in_s,
    extract(epoch FROM clock_timestamp() - renewed_at)::float8 AS renewed_ago_s
FROM hub_lease ORDER BY renewed_at DESC, name

-- doctor_standbys --
-- Sessions of hub.store.lease that hold no lease. backend_start is null where it is another role's.
SELECT host(a.client_addr) AS address, a.backend_start AS since FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name = 'lockerhub lease'
    AND NOT EXISTS (
        SELECT FROM hub_lease
        WHERE holder IS NOT NULL AND session_pid = a.pid
            AND coalesce(a.backend_start, session_started_at) = session_started_at
    )
ORDER BY a.backend_start, a.pid

-- doctor_has --
SELECT to_regclass(%(table)s) IS NOT NULL AS yes

-- doctor_grants --
-- What the role lacks to run a hub: each row is one thing. Tables are written, and changed by who owns them.
SELECT format('CREATE on the schema %s', current_schema()) AS lacks
WHERE NOT has_schema_privilege(current_user, current_schema(), 'CREATE')
UNION ALL
SELECT format('%s on the table %s', p.name, c.relname) FROM pg_class c
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (name)
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT has_table_privilege(current_user, c.oid, p.name)
UNION ALL
SELECT format('the ownership of the table %s', c.relname) FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT pg_has_role(current_user, c.relowner, 'USAGE')
ORDER BY 1

-- doctor_schema --
SELECT current_schema()

-- doctor_hubs --
SELECT count(*) AS count FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'lockerhub%'
  AND application_name NOT IN ('lockerhub doctor', 'lockerhub check')
