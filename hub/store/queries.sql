-- migration_table --
-- Keeps what was applied; made before anything else.
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- migration_exists --
SELECT to_regclass('schema_migration') IS NOT NULL

-- migrations_applied --
SELECT number, name, sha256 FROM schema_migration ORDER BY number

-- migration_add --
INSERT INTO schema_migration (number, name, sha256) VALUES (%(number)s, %(name)s, %(sha256)s)

-- migration_lock --
-- One migrator at a time; the number is this project's own.
SELECT pg_advisory_lock(7165018441)

-- migration_unlock --
SELECT pg_advisory_unlock(7165018441)

-- timescaledb_available --
SELECT default_version, installed_version
FROM pg_available_extensions
WHERE name = 'timescaledb' AND current_setting('shared_preload_libraries') LIKE '%%timescaledb%%'

-- timescaledb_create --
CREATE EXTENSION IF NOT EXISTS timescaledb

-- make_partitions --
SELECT make_partitions('event', now()::date, 3) + make_partitions('reading', now()::date, 3)

-- registry_version --
SELECT version FROM registry_version

-- registry --
SELECT l.id, l.tenant_id, l.name, l.site,
       coalesce(array_agg((d.number, d.label, d.size, d.grid_row, d.grid_column, d.in_service, d.service_reason)
                          ORDER BY d.number) FILTER (WHERE d.number IS NOT NULL), '{}') AS doors
FROM locker l LEFT JOIN door d ON d.locker_id = l.id
GROUP BY l.id ORDER BY l.id

-- locker_add --
INSERT INTO locker (id, name, site) VALUES (%(id)s, %(name)s, %(site)s) ON CONFLICT (id) DO NOTHING

-- door_add --
INSERT INTO door (locker_id, number, label, size, grid_row, grid_column)
VALUES (%(locker)s, %(number)s, %(label)s, %(size)s, %(row)s, %(column)s)
ON CONFLICT (locker_id, number) DO NOTHING

-- cursors --
SELECT locker_id, epoch, next_seq FROM ledger_cursor

-- cursors_of --
SELECT c.locker_id, c.epoch, c.next_seq
FROM ledger_cursor c
JOIN unnest(%(lockers)s::text[], %(epochs)s::uuid[]) AS t (locker_id, epoch) USING (locker_id, epoch)

-- cursor_add --
INSERT INTO ledger_cursor (locker_id, epoch, next_seq)
SELECT * FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(nexts)s::bigint[])
ON CONFLICT DO NOTHING

-- cursor_advance --
-- Only from where the hub believes it stands: of two hubs at once, one finds no row to advance.
UPDATE ledger_cursor c SET next_seq = t.next_seq, updated_at = now()
FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(olds)s::bigint[], %(nexts)s::bigint[])
    AS t (locker_id, epoch, old_seq, next_seq)
WHERE c.locker_id = t.locker_id AND c.epoch = t.epoch AND c.next_seq = t.old_seq

-- gap_add --
INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq)
VALUES (%(locker)s, %(epoch)s, %(from_seq)s, %(to_seq)s)
ON CONFLICT DO NOTHING

-- copy_event --
COPY event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, actor_id, command_id,
            transaction_id, clock, stamped_at, data) FROM STDIN (FORMAT BINARY)

-- copy_reading --
COPY reading (sampled_at, received_at, locker_id, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm,
              cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra)
    FROM STDIN (FORMAT BINARY)

-- quarantine_add --
INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes)
VALUES (%(received_at)s, %(topic)s, %(reason)s, %(detail)s, %(payload)s, %(payload_bytes)s)

-- command_put --
INSERT INTO command (id, locker_id, kind, door, actor_id, reason, accepted_at, deadline_ms, state, detail, outcome,
                     late, stages_ms)
VALUES (%(id)s, %(locker)s, %(kind)s, %(door)s, %(actor)s, %(reason)s, %(accepted_at)s, %(deadline_ms)s, %(state)s,
        %(detail)s, %(outcome)s, %(late)s, %(stages_ms)s)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, detail = excluded.detail, outcome = excluded.outcome,
    late = excluded.late, stages_ms = excluded.stages_ms

-- command --
SELECT id, locker_id AS locker, kind, door, actor_id AS actor, reason, accepted_at, deadline_ms, state, detail,
       outcome, late, stages_ms
FROM command WHERE id = %(id)s

-- commands_of --
SELECT id, locker_id AS locker, kind, door, actor_id AS actor, reason, accepted_at, deadline_ms, state, detail,
       outcome, late, stages_ms
FROM command WHERE locker_id = %(locker)s ORDER BY accepted_at DESC, id DESC LIMIT %(limit)s

-- events_of --
-- Newest first; the cursor is the last row's (occurred_at, epoch, seq).
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at, received_at, clock, actor_id AS actor,
       command_id AS command, transaction_id AS transaction, data
FROM event
WHERE locker_id = %(locker)s
  AND occurred_at >= %(since)s AND occurred_at < %(until)s
  AND (%(door)s::smallint IS NULL OR door = %(door)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(after_at)s::timestamptz IS NULL
       OR (occurred_at, epoch, seq) < (%(after_at)s, %(after_epoch)s::uuid, %(after_seq)s::bigint))
ORDER BY occurred_at DESC, epoch DESC, seq DESC
LIMIT %(limit)s

-- events_newest --
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at, received_at, clock, actor_id AS actor,
       command_id AS command, transaction_id AS transaction, data
FROM event
WHERE occurred_at >= now() - interval '1 day'
ORDER BY occurred_at DESC, epoch DESC, seq DESC
LIMIT %(limit)s

-- readings_of --
-- Newest first; readings have no key of their own, so the cursor is the last row's time and how many of that time
-- came before.
SELECT locker_id AS locker, sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm,
       cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, extra
FROM reading
WHERE locker_id = %(locker)s
  AND sampled_at >= %(since)s AND sampled_at < %(until)s
  AND (%(after_at)s::timestamptz IS NULL OR sampled_at <= %(after_at)s)
ORDER BY sampled_at DESC
LIMIT %(limit)s OFFSET %(after_rows)s

-- door_edges --
-- What the ledger has of one run's door and item edges, to be held against the boards' own count.
SELECT door, kind, count(*) AS count
FROM event
WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND seq BETWEEN %(first_seq)s AND %(last_seq)s
  AND kind IN ('door.opened', 'door.closed', 'occupancy.changed')
GROUP BY door, kind

-- ledger_range --
SELECT count(*) AS rows, count(DISTINCT seq) AS numbers
FROM event
WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND seq BETWEEN %(first_seq)s AND %(last_seq)s

-- readings_since --
SELECT count(*) AS count FROM reading
WHERE locker_id = ANY (%(lockers)s::text[]) AND received_at >= %(since)s
  AND sampled_at >= %(since)s::timestamptz - interval '1 hour'
