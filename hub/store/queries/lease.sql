-- lease_make --
INSERT INTO hub_lease (name) VALUES (%(name)s) ON CONFLICT DO NOTHING

-- lease_look --
-- What a lease of infinity has left is no number; backend_start is null where it is another role's.
SELECT
    holder, node, since, renewals, broker,
    CASE WHEN isfinite(expires_at) THEN extract(epoch FROM expires_at - clock_timestamp())::float8 ELSE 0 END
        AS expires_in_s,
    extract(epoch FROM clock_timestamp() - renewed_at)::float8 AS renewed_ago_s,
    server_started_at = pg_postmaster_start_time() AND NOT EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.pid = session_pid
            AND coalesce(a.backend_start, session_started_at) = session_started_at
    ) AS session_gone
FROM hub_lease WHERE name = %(name)s

-- lease_take --
UPDATE hub_lease SET
    holder = %(hub)s, node = %(node)s, since = clock_timestamp(), renewals = renewals + 1,
    renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s),
    session_pid = pg_backend_pid(), server_started_at = pg_postmaster_start_time(),
    session_started_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE name = %(name)s AND renewals = %(renewals)s

-- lease_renew --
UPDATE hub_lease SET
    broker = coalesce(%(broker)s, broker),
    renewals = renewals + 1,
    renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s),
    session_pid = pg_backend_pid(), server_started_at = pg_postmaster_start_time(),
    session_started_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE name = %(name)s AND holder = %(hub)s

-- lease_release --
UPDATE hub_lease SET holder = NULL, expires_at = '-infinity', renewals = renewals + 1
WHERE name = %(name)s AND holder = %(hub)s
