-- job_creation_lock --
-- Jobs are made one after the other, so that limits over all of them hold; the number is this project's own.
SELECT pg_advisory_xact_lock(7165018442)

-- job_limits --
SELECT (SELECT count(*) FROM job WHERE state IN ('waiting_approval', 'running', 'paused')) AS active,
       (SELECT coalesce(sum(openings), 0) FROM job
        WHERE created_by = %(created_by)s AND openings > 0 AND approval_until IS NULL
          AND created_at > %(since)s) AS openings

-- job_add --
INSERT INTO job (id, kind, args, reason, filter, request_sha256, created_at, created_by, approval_until, expires_s,
                 expires_at, rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state)
VALUES (%(id)s, %(kind)s, %(args)s, %(reason)s, %(filter)s, %(request_sha256)s, %(created_at)s, %(created_by)s,
        %(approval_until)s, %(expires_s)s, %(expires_at)s, %(rate_per_minute)s, %(canaries)s, %(abort_share)s,
        %(abort_min_count)s, %(targets)s, %(openings)s, %(state)s)

-- job_targets_add --
INSERT INTO job_target (job_id, place, locker_id, door, command_id)
SELECT %(job)s, t.place - 1, t.locker, t.door, t.command
FROM unnest(%(lockers)s::text[], %(doors)s::smallint[], %(commands)s::uuid[])
     WITH ORDINALITY AS t (locker, door, command, place)

-- job_step_add --
INSERT INTO job_step (job_id, at, operator, state, detail)
VALUES (%(job)s, %(at)s, %(operator)s, %(state)s, %(detail)s)

-- job --
SELECT id, kind, args, reason, filter, request_sha256, created_at, created_by, approval_until, decided_at, decided_by,
       expires_s, expires_at, rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, why,
       ended_at
FROM job WHERE id = %(id)s

-- job_locked --
SELECT id, kind, args, reason, filter, request_sha256, created_at, created_by, approval_until, decided_at, decided_by,
       expires_s, expires_at, rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, why,
       ended_at
FROM job WHERE id = %(id)s FOR UPDATE

-- jobs --
SELECT id, kind, args, reason, filter, request_sha256, created_at, created_by, approval_until, decided_at, decided_by,
       expires_s, expires_at, rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, why,
       ended_at
FROM job
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- jobs_open --
-- Those that have not ended, and those that still have something under way.
SELECT id, kind, args, reason, filter, request_sha256, created_at, created_by, approval_until, decided_at, decided_by,
       expires_s, expires_at, rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, why,
       ended_at
FROM job
WHERE state IN ('waiting_approval', 'running', 'paused')
   OR id IN (SELECT job_id FROM job_target WHERE state = 'sent')
ORDER BY created_at, id

-- job_counts --
SELECT state, count(*) AS count FROM job_target WHERE job_id = %(job)s GROUP BY state

-- job_steps --
SELECT at, operator, state, detail FROM job_step WHERE job_id = %(job)s ORDER BY id DESC LIMIT %(limit)s

-- job_targets --
SELECT t.place, t.locker_id AS locker, t.door, t.command_id AS command, t.state, t.why, t.sent_at, t.settled_at,
       c.outcome
FROM job_target t LEFT JOIN command c ON c.id = t.command_id
WHERE t.job_id = %(job)s AND t.place > %(after)s AND (%(state)s::text IS NULL OR t.state = %(state)s)
ORDER BY t.place LIMIT %(limit)s

-- job_targets_plain --
SELECT place, locker_id AS locker, door, command_id AS command, state
FROM job_target WHERE job_id = %(job)s AND place > %(after)s ORDER BY place LIMIT %(limit)s

-- job_move --
UPDATE job SET state = %(state)s, why = %(why)s,
    ended_at = CASE WHEN %(ended)s THEN %(at)s ELSE ended_at END,
    decided_at = CASE WHEN %(decided)s THEN %(at)s ELSE decided_at END,
    decided_by = CASE WHEN %(decided)s THEN %(operator)s ELSE decided_by END,
    expires_at = coalesce(%(expires_at)s, expires_at)
WHERE id = %(id)s

-- job_pending_cancel --
UPDATE job_target SET state = 'cancelled', settled_at = %(at)s WHERE job_id = %(job)s AND state = 'pending'

-- job_runs --
-- A person's pause or cancel waits for this transaction, or this one for theirs.
SELECT state = 'running' AS runs FROM job WHERE id = %(id)s FOR SHARE

-- job_send --
UPDATE job_target SET state = 'sent', sent_at = clock_timestamp()
WHERE job_id = %(job)s AND place = ANY(%(places)s) AND state = 'pending'

-- job_send_again --
-- The order may act only now, so it counts among the openings of this minute.
UPDATE job_target SET sent_at = clock_timestamp()
WHERE job_id = %(job)s AND place = %(place)s AND state = 'sent'

-- job_settle --
UPDATE job_target t SET state = r.state, why = r.why, settled_at = %(at)s
FROM unnest(%(places)s::integer[], %(states)s::text[], %(whys)s::text[]) AS r (place, state, why)
WHERE t.job_id = %(job)s AND t.place = r.place AND t.state IN ('pending', 'sent')

-- job_give_back --
-- Nothing was sent, and the book of the minute need not know of it.
UPDATE job_target t
SET state = CASE WHEN j.state IN ('running', 'paused') THEN 'pending' ELSE 'cancelled' END, sent_at = NULL
FROM job j
WHERE t.job_id = %(job)s AND j.id = t.job_id AND t.place = ANY(%(places)s) AND t.state = 'sent'

-- job_openings_sent --
SELECT greatest(0, extract(epoch FROM clock_timestamp() - t.sent_at)) AS age_s
FROM job_target t JOIN job j ON j.id = t.job_id
WHERE t.sent_at > clock_timestamp() - interval '2 minutes' AND j.kind = 'open'
ORDER BY t.sent_at

-- job_results --
SELECT id, state, detail FROM command WHERE id = ANY(%(commands)s)

-- job_lease_take --
UPDATE job_lease SET hub = %(hub)s, until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE hub IS NULL OR hub = %(hub)s OR until < clock_timestamp()

-- job_lease_hold --
UPDATE job_lease SET until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE hub = %(hub)s AND until > clock_timestamp()

-- job_lease_release --
UPDATE job_lease SET hub = NULL WHERE hub = %(hub)s

-- jobs_counts --
SELECT job_id, state, count(*) AS count FROM job_target WHERE job_id = ANY(%(jobs)s) GROUP BY job_id, state
