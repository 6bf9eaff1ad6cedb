-- cursors --
SELECT locker_id, epoch, next_seq, chain FROM (
    SELECT locker_id, epoch, next_seq, chain, updated_at FROM ledger_cursor ORDER BY updated_at DESC LIMIT %(limit)s
) newest
ORDER BY updated_at

-- ledger_epochs --
SELECT locker_id, count(*) AS epochs FROM ledger_cursor GROUP BY locker_id

-- cursors_of --
SELECT c.locker_id, c.epoch, c.next_seq, c.chain
FROM ledger_cursor c
JOIN unnest(%(lockers)s::text[], %(epochs)s::uuid[]) AS t (locker_id, epoch) USING (locker_id, epoch)

-- cursor_add --
INSERT INTO ledger_cursor (locker_id, epoch, next_seq, chain, quarantined, missing)
SELECT * FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(nexts)s::bigint[], %(chains)s::text[],
                     %(quarantined)s::bigint[], %(missing)s::bigint[])
ON CONFLICT DO NOTHING

-- cursor_advance --
-- Only from where the hub believes it stands, and from that history: of two hubs at once, one finds no row to advance.
UPDATE ledger_cursor c SET next_seq = t.next_seq, chain = t.chain, quarantined = c.quarantined + t.quarantined,
    missing = c.missing + t.missing, updated_at = now()
FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(olds)s::bigint[], %(nexts)s::bigint[], %(prevs)s::text[],
            %(chains)s::text[], %(quarantined)s::bigint[], %(missing)s::bigint[])
    AS t (locker_id, epoch, old_seq, next_seq, prev, chain, quarantined, missing)
WHERE c.locker_id = t.locker_id AND c.epoch = t.epoch AND c.next_seq = t.old_seq
  AND (c.chain = t.prev) IS NOT FALSE

-- cursor_refused --
-- In the transaction that has advanced the cursor over these events as if they were stored.
UPDATE ledger_cursor SET quarantined = quarantined + %(quarantined)s::bigint
WHERE locker_id = %(locker)s AND epoch = %(epoch)s

-- gaps_add --
INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq)
SELECT * FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(froms)s::bigint[], %(tos)s::bigint[])
ON CONFLICT DO NOTHING

-- gaps_tell --
-- Cut out of the gaps without a reason what the lockers give one for. The ranges that are told do not overlap, and
-- neither do gaps: only the last that begins before a range can reach into it, so that each range costs one look into
-- the index of gaps without a reason, and what it finds there.
WITH told AS (
    SELECT * FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(froms)s::bigint[], %(tos)s::bigint[],
                         %(reasons)s::text[]) AS t (locker_id, epoch, from_seq, to_seq, reason)
), ledger AS MATERIALIZED (
    SELECT locker_id, epoch FROM (SELECT DISTINCT locker_id, epoch FROM told) l
    WHERE (
        SELECT count(*) FROM (
            SELECT FROM ledger_gap g WHERE g.locker_id = l.locker_id AND g.epoch = l.epoch LIMIT %(per_ledger_max)s
        ) rows
    ) < %(per_ledger_max)s
), found AS MATERIALIZED (
    SELECT DISTINCT g.locker_id, g.epoch, g.from_seq
    FROM told t JOIN ledger USING (locker_id, epoch) CROSS JOIN LATERAL (
        (SELECT o.* FROM ledger_gap o
         WHERE o.locker_id = t.locker_id AND o.epoch = t.epoch AND o.reason = 'unknown' AND o.from_seq < t.from_seq
         ORDER BY o.from_seq DESC LIMIT 1)
        UNION ALL
        (SELECT o.* FROM ledger_gap o
         WHERE o.locker_id = t.locker_id AND o.epoch = t.epoch AND o.reason = 'unknown'
           AND o.from_seq BETWEEN t.from_seq AND t.to_seq
         ORDER BY o.from_seq LIMIT %(gaps_max)s)
    ) g
    WHERE g.to_seq >= t.from_seq
    LIMIT %(gaps_max)s
), cut AS (
    DELETE FROM ledger_gap g USING found f
    WHERE g.locker_id = f.locker_id AND g.epoch = f.epoch AND g.from_seq = f.from_seq
    RETURNING g.locker_id, g.epoch, g.from_seq, g.to_seq, g.declared_at
), part AS MATERIALIZED (
    SELECT c.locker_id, c.epoch, c.from_seq AS gap_from, c.to_seq AS gap_to, c.declared_at,
           greatest(c.from_seq, t.from_seq) AS from_seq, least(c.to_seq, t.to_seq) AS to_seq, t.reason
    FROM cut c JOIN told t
        ON t.locker_id = c.locker_id AND t.epoch = c.epoch AND t.from_seq <= c.to_seq AND t.to_seq >= c.from_seq
)
INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq, declared_at, reason)
SELECT locker_id, epoch, from_seq, to_seq, declared_at, reason FROM part
UNION ALL
SELECT locker_id, epoch, lower(rest), upper(rest) - 1, declared_at, 'unknown'
FROM (
    SELECT locker_id, epoch, declared_at,
           unnest(int8multirange(int8range(gap_from, gap_to, '[]'))
                  - range_agg(int8range(from_seq, to_seq, '[]'))) AS rest
    FROM part GROUP BY locker_id, epoch, gap_from, gap_to, declared_at
) left_over

-- copy_event --
COPY event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, actor_id, command_id,
            transaction_id, clock, stamped_at, data, time_source) FROM STDIN (FORMAT BINARY)

-- quarantine_add --
INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes, locker_id, epoch, seq)
VALUES (%(received_at)s, %(topic)s, %(reason)s, %(detail)s, %(payload)s, %(payload_bytes)s, %(locker)s, %(epoch)s,
        %(seq)s)

-- ledger_totals --
SELECT coalesce(sum(stored), 0) AS stored, coalesce(sum(missing), 0) AS missing,
       coalesce(sum(quarantined), 0) AS quarantined, coalesce(sum(gone), 0) AS gone
FROM ledger_cursor

-- ledger_counters --
SELECT locker_id AS locker, epoch, next_seq - 1 AS last, stored, quarantined, missing, gone, chain, updated_at
FROM ledger_cursor
WHERE (%(locker)s::text IS NULL OR locker_id = %(locker)s)
  AND (%(after_locker)s::text IS NULL OR (locker_id, epoch) > (%(after_locker)s, %(after_epoch)s::uuid))
ORDER BY locker_id, epoch
LIMIT %(limit)s

-- ledgers_without_cursor --
-- All rows are read: compressed ones have no order by epoch, in which one could go from one ledger to the next.
SELECT e.locker_id, e.epoch
FROM (SELECT DISTINCT locker_id, epoch FROM event WHERE %(locker)s::text IS NULL OR locker_id = %(locker)s) e
WHERE NOT EXISTS (SELECT FROM ledger_cursor c WHERE c.locker_id = e.locker_id AND c.epoch = e.epoch)
ORDER BY e.locker_id, e.epoch
LIMIT %(ledgers_max)s

-- ledger_count --
-- All that is known of a ledger's numbers, in order, and next_seq as the end; `reached` is how far the ones before
-- reach, so that a number beyond the next one shows what nobody can explain. It is read once, and sorted on disk where
-- it is large. What is gone by a rule comes first at its number, so that a row that is stored nevertheless shows.
WITH known AS (
    SELECT lower(n) AS from_seq, upper(n) - 1 AS to_seq, -1 AS source
    FROM ledger_gone g CROSS JOIN LATERAL unnest(g.numbers) AS n
    WHERE g.locker_id = %(locker)s AND g.epoch = %(epoch)s
    UNION ALL
    SELECT seq AS from_seq, seq AS to_seq, 0 AS source FROM event WHERE locker_id = %(locker)s AND epoch = %(epoch)s
    UNION ALL
    SELECT from_seq, to_seq, 1 FROM ledger_gap WHERE locker_id = %(locker)s AND epoch = %(epoch)s
    UNION ALL
    SELECT seq, seq, 2 FROM quarantine WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND seq IS NOT NULL
    UNION ALL
    SELECT next_seq, next_seq, 3 FROM ledger_cursor WHERE locker_id = %(locker)s AND epoch = %(epoch)s
), ordered AS (
    SELECT from_seq, to_seq, source,
           coalesce(max(to_seq) OVER (place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS reached,
           coalesce(max(to_seq) FILTER (WHERE source = -1)
                    OVER (place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS gone_to,
           coalesce(lag(from_seq) OVER place = from_seq AND lag(source) OVER place = source, false) AS repeated
    FROM known WINDOW place AS (ORDER BY from_seq, source)
), judged AS (
    SELECT o.*, o.from_seq > o.reached + 1 AND o.from_seq <= c.next_seq AS hole,
           count(*) FILTER (WHERE o.from_seq > o.reached + 1 AND o.from_seq <= c.next_seq)
               OVER (ORDER BY o.from_seq, o.source) AS hole_number,
           o.from_seq >= c.next_seq AS beyond
    FROM ordered o
    CROSS JOIN (SELECT next_seq FROM ledger_cursor WHERE locker_id = %(locker)s AND epoch = %(epoch)s) c
)
SELECT c.locker_id AS locker, c.epoch, c.next_seq - 1 AS last, c.chain, c.stored AS stored_then,
       c.missing AS declared_then, c.quarantined AS quarantined_then, c.gone AS gone_then, counted.*
FROM ledger_cursor c CROSS JOIN (
    SELECT min(from_seq) FILTER (WHERE source = 0) AS first_stored,
           count(*) FILTER (WHERE source = 0 AND NOT repeated AND NOT beyond) AS stored,
           count(*) FILTER (WHERE source = 0 AND repeated) AS duplicates,
           count(*) FILTER (WHERE source = 0 AND beyond) AS beyond,
           count(*) FILTER (WHERE source IN (0, 2) AND from_seq <= gone_to) AS resurrected,
           coalesce(sum(to_seq - from_seq + 1) FILTER (WHERE source = -1), 0) AS gone,
           coalesce(sum(from_seq - reached - 1) FILTER (WHERE hole), 0) AS unexplained,
           count(*) FILTER (WHERE hole) AS unexplained_ranges,
           coalesce(jsonb_agg(jsonb_build_array(reached + 1, from_seq - 1) ORDER BY from_seq)
                    FILTER (WHERE hole AND hole_number <= %(ranges_max)s), '[]') AS unexplained_list,
           coalesce(sum(to_seq - from_seq + 1) FILTER (WHERE source = 1), 0) AS declared,
           count(*) FILTER (WHERE source = 1) AS declared_ranges,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(g.from_seq, g.to_seq, g.reason) ORDER BY g.from_seq), '[]')
            FROM (SELECT from_seq, to_seq, reason FROM ledger_gap
                  WHERE locker_id = %(locker)s AND epoch = %(epoch)s ORDER BY from_seq LIMIT %(ranges_max)s) g
           ) AS declared_list,
           count(*) FILTER (WHERE source = 2 AND NOT repeated) AS quarantined,
           (SELECT coalesce(jsonb_agg(q.seq ORDER BY q.seq), '[]')
            FROM (SELECT DISTINCT seq FROM quarantine
                  WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND seq IS NOT NULL
                  ORDER BY seq LIMIT %(ranges_max)s) q
           ) AS quarantined_list,
           (SELECT coalesce(sum(trunc((data ->> 'events')::numeric)), 0) FROM event
            WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND kind = 'outbox.gap'
              AND data -> 'events' BETWEEN '0' AND '9007199254740991'
           ) AS given_up,
           (SELECT count(*) FROM quarantine
            WHERE locker_id = %(locker)s AND epoch = %(epoch)s AND reason = 'ledger_fork'
           ) AS forks
    FROM judged
) counted
WHERE c.locker_id = %(locker)s AND c.epoch = %(epoch)s

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
