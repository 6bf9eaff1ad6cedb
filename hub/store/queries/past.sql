-- past_memory --
-- Enough to count in memory what a fleet of thousands says in some hours.
SET LOCAL work_mem = '64MB'

-- past_edges --
-- Of each ledger, what its events after `since` and up to `at` come to: for each door the numbers of its last opening
-- and closing (door null: what is of no door), and the newest event.
SELECT locker, epoch, array_agg(door) AS doors, array_agg(opened) AS opened, array_agg(closed) AS closed,
       max(newest_at) AS newest_at, max(heard_at) AS heard_at,
       coalesce(max(stopping) = max(seq), false) AS is_stopped
FROM (
    SELECT locker_id AS locker, epoch, door,
           max(seq) FILTER (WHERE kind = 'door.opened') AS opened,
           max(seq) FILTER (WHERE kind = 'door.closed') AS closed,
           max(seq) FILTER (WHERE kind = 'agent.stopping') AS stopping,
           max(seq) AS seq,
           max(occurred_at) AS newest_at,
           max(received_at) FILTER (WHERE received_at <= %(at)s) AS heard_at
    FROM event
    WHERE occurred_at > %(since)s AND occurred_at <= %(at)s
      AND (%(locker)s::text IS NULL OR locker_id = %(locker)s)
    GROUP BY locker_id, epoch, door
) AS doors
GROUP BY locker, epoch

-- past_boards --
-- The newest word on each set of doors that was told of at once: all doors of a locker, or those of one board.
SELECT DISTINCT ON (locker_id, epoch, kind, jsonb_path_query_array(data, '$.doors[*][0]'))
       locker_id AS locker, epoch, seq, occurred_at AS at, kind, data
FROM event
WHERE occurred_at > %(since)s AND occurred_at <= %(at)s AND kind IN ('snapshot', 'board.offline')
ORDER BY locker_id, epoch, kind, jsonb_path_query_array(data, '$.doors[*][0]'), seq DESC

-- past_doors --
-- All that a locker's ledger says of its doors.
SELECT epoch, seq, occurred_at AS at, kind, door, data
FROM event
WHERE locker_id = %(locker)s AND occurred_at > %(since)s AND occurred_at <= %(at)s
  AND kind IN ('door.opened', 'door.closed', 'occupancy.changed', 'snapshot', 'board.offline')

-- past_readings --
-- When each locker was last heard by its telemetry. What came later than `at` was no sign of life then.
SELECT one.id AS locker, newest.received_at AS heard_at
FROM unnest(%(lockers)s::text[]) AS one (id)
CROSS JOIN LATERAL (
    SELECT received_at FROM reading
    WHERE locker_id = one.id AND sampled_at > %(since)s AND sampled_at <= %(at)s AND received_at <= %(at)s
    ORDER BY sampled_at DESC LIMIT 1
) AS newest

-- past_heard --
-- Which of these lockers were heard so long ago, and when their last event of then came.
SELECT one.id AS locker, newest.received_at AS heard_at
FROM unnest(%(lockers)s::text[]) AS one (id)
CROSS JOIN LATERAL (
    SELECT received_at FROM event
    WHERE locker_id = one.id AND occurred_at <= %(at)s AND received_at <= %(at)s
    ORDER BY occurred_at DESC LIMIT 1
) AS newest
WHERE EXISTS (SELECT FROM ledger_cursor c WHERE c.locker_id = one.id)

-- past_unborn --
-- Lockers that the registry did not have yet.
SELECT id FROM locker WHERE created_at > %(at)s

-- past_begins --
SELECT min(occurred_at) AS at FROM event

-- past_commands --
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command WHERE locker_id = %(locker)s AND accepted_at <= %(at)s
ORDER BY accepted_at DESC, id DESC LIMIT %(limit)s

-- past_alarms --
-- How many alarms people had to see at each locker; shelving is not looked at, as nobody keeps what was shelved when.
SELECT locker_id AS locker, severity, count(*) AS count
FROM alarm
WHERE locker_id IS NOT NULL AND opened_at <= %(at)s AND (closed_at IS NULL OR closed_at > %(at)s)
  AND (suppressed IS NULL OR suppressed = 'shelved')
GROUP BY locker_id, severity

-- past_offline --
-- Since when lockers were offline, where an alarm says it.
SELECT locker_id AS locker, began_at
FROM alarm
WHERE type = 'locker.offline' AND locker_id IS NOT NULL AND began_at <= %(at)s
  AND (cleared_at IS NULL OR cleared_at > %(at)s) AND (closed_at IS NULL OR closed_at > %(at)s)

-- past_maintenance --
-- Where somebody worked on whole lockers.
SELECT site, locker_id AS locker
FROM maintenance
WHERE door IS NULL AND starts_at <= %(at)s AND least(ends_at, coalesce(ended_at, ends_at)) > %(at)s
