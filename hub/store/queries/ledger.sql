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

-- quarantine_add --
INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes)
VALUES (%(received_at)s, %(topic)s, %(reason)s, %(detail)s, %(payload)s, %(payload_bytes)s)

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
