-- command_put --
-- Rows come late, twice and in any order: state and outcome only go forward, a stage once told stays.
INSERT INTO command (id, class, locker_id, kind, door, actor_id, ordered_by, reason, args, accepted_at, deadline_ms,
                     expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms)
VALUES (%(id)s, %(class)s, %(locker)s, %(kind)s, %(door)s, %(actor)s, %(by)s, %(reason)s, %(args)s, %(accepted_at)s,
        %(deadline_ms)s, %(expires_at)s, %(state)s, %(detail)s, %(outcome)s, %(late)s, %(cancel_requested)s,
        %(attempts)s, %(stages_ms)s)
ON CONFLICT (id) DO UPDATE SET
    state = CASE WHEN command_rank(excluded.state) > command_rank(command.state)
                 THEN excluded.state ELSE command.state END,
    detail = CASE WHEN command_rank(excluded.state) > command_rank(command.state)
                  THEN excluded.detail ELSE command.detail END,
    late = CASE WHEN command_rank(excluded.state) > command_rank(command.state)
                THEN excluded.late OR command.state = 'timed_out' ELSE command.late END,
    outcome = CASE WHEN outcome_rank(excluded.outcome) > outcome_rank(command.outcome)
                   THEN excluded.outcome ELSE command.outcome END,
    cancel_requested = command.cancel_requested OR excluded.cancel_requested,
    attempts = greatest(command.attempts, excluded.attempts),
    stages_ms = excluded.stages_ms || command.stages_ms,
    ordered_by = coalesce(command.ordered_by, excluded.ordered_by),
    updated_at = now()
WHERE command.locker_id = excluded.locker_id

-- command_saw --
UPDATE command SET outcome = %(outcome)s, updated_at = now()
WHERE id = %(id)s AND locker_id = %(locker)s AND door = %(door)s
  AND outcome_rank(%(outcome)s) > outcome_rank(outcome)

-- command --
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, ordered_by AS by, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command WHERE id = %(id)s

-- commands_by_id --
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, ordered_by AS by, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command WHERE id = ANY (%(ids)s)

-- commands_of --
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, ordered_by AS by, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command WHERE locker_id = %(locker)s ORDER BY accepted_at DESC, id DESC LIMIT %(limit)s

-- commands_page --
-- Newest first; the cursor is the last row's (accepted_at, id).
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, ordered_by AS by, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command
WHERE (%(locker)s::text IS NULL OR locker_id = %(locker)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(class)s::text IS NULL OR class = %(class)s)
  AND accepted_at >= %(since)s
  AND (%(after_at)s::timestamptz IS NULL OR (accepted_at, id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY accepted_at DESC, id DESC
LIMIT %(limit)s

-- commands_instant_newest --
SELECT id, class, locker_id AS locker, kind, door, actor_id AS actor, ordered_by AS by, reason, args, accepted_at, deadline_ms,
       expires_at, state, detail, outcome, late, cancel_requested, attempts, stages_ms
FROM command
WHERE class = 'instant' AND accepted_at >= %(since)s
ORDER BY accepted_at DESC, id DESC
LIMIT %(limit)s

-- commands_durable_under_way --
-- Oldest first; the cursor is the last row's (accepted_at, id). Most are known already: `commands_by_id` has the rest.
SELECT id, accepted_at, true AS registered
FROM command
WHERE class = 'durable' AND kind <> 'forget' AND state IN ('queued', 'sent', 'accepted', 'timed_out')
  AND (accepted_at, id) > (%(after_at)s, %(after_id)s::uuid)
ORDER BY accepted_at, id
LIMIT %(limit)s

-- forgets_under_way --
-- By locker; the cursor is the last row's (locker, accepted_at, id). A locker's turns are counted from its first row.
SELECT id, locker, accepted_at, EXISTS (SELECT FROM locker l WHERE l.id = waiting.locker) AS registered
FROM (
    SELECT id, locker_id AS locker, accepted_at,
           row_number() OVER (PARTITION BY locker_id ORDER BY accepted_at, id) AS turn
    FROM command
    WHERE kind = 'forget' AND class = 'durable' AND state IN ('queued', 'sent', 'accepted', 'timed_out')
      AND locker_id >= %(after_locker)s
) waiting
WHERE turn <= %(per_locker)s AND (locker, accepted_at, id) > (%(after_locker)s, %(after_at)s, %(after_id)s::uuid)
ORDER BY locker, accepted_at, id
LIMIT %(limit)s

-- forgets_add --
-- One that was sent may have met events that were not confirmed then; one that was not will meet them all.
INSERT INTO command (id, class, locker_id, kind, args, accepted_at, deadline_ms, expires_at, state, late, stages_ms,
                     updated_at)
SELECT t.id, 'durable', t.locker, 'forget', %(args)s, %(now)s, %(deadline_ms)s, %(expires_at)s, 'queued', false, '{}',
       %(now)s
FROM unnest(%(ids)s::uuid[], %(lockers)s::text[]) AS t (id, locker)
WHERE EXISTS (SELECT FROM locker l WHERE l.id = t.locker)
  AND NOT EXISTS (SELECT FROM command c WHERE c.locker_id = t.locker AND c.kind = 'forget' AND c.state = 'queued'
                                          AND c.args = %(args)s)

-- commands_settle_from_ledger --
-- What a crash kept from the command's row although its event was stored: the locker's own account of the end.
UPDATE command c
SET state = told.state, detail = told.detail, late = c.late OR c.state = 'timed_out', updated_at = now()
FROM (
    SELECT DISTINCT ON (e.command_id) e.command_id, e.locker_id, e.data ->> 'reason' AS detail,
           CASE WHEN e.data ->> 'reason' = 'cancelled'
                THEN CASE WHEN u.class = 'durable' AND NOT u.cancel_requested THEN 'expired' ELSE 'cancelled' END
                ELSE e.data ->> 'state' END AS state
    FROM command u JOIN event e ON e.command_id = u.id AND e.locker_id = u.locker_id
    WHERE u.state IN ('queued', 'sent', 'accepted', 'timed_out') AND u.accepted_at >= %(since)s
      AND e.occurred_at >= %(events_since)s AND e.kind = 'command.finished'
      AND e.data -> 'command' ->> 'id' = u.id::text
      AND e.data ->> 'state' IN ('rejected', 'succeeded', 'failed', 'unknown')
      AND NOT (u.class = 'durable' AND e.data ->> 'state' = 'rejected'
               AND e.data ->> 'reason' IN ('expired', 'too_far_ahead', 'wrong_boot'))
    ORDER BY e.command_id, e.occurred_at
) told
WHERE c.id = told.command_id AND command_rank(told.state) > command_rank(c.state)
RETURNING c.id

-- commands_outcome_from_ledger --
UPDATE command c SET outcome = seen.outcome, updated_at = now()
FROM (
    SELECT e.command_id, e.locker_id,
           CASE max(CASE e.kind WHEN 'door.closed' THEN 3 WHEN 'door.opened' THEN 2 ELSE 1 END)
           WHEN 3 THEN 'closed' WHEN 2 THEN 'opened' ELSE 'open_not_detected' END AS outcome
    FROM command u JOIN event e ON e.command_id = u.id AND e.locker_id = u.locker_id AND e.door = u.door
    WHERE u.class = 'instant' AND u.outcome IS DISTINCT FROM 'closed' AND u.accepted_at >= %(since)s
      AND e.occurred_at >= %(events_since)s AND e.kind IN ('door.opened', 'door.closed', 'door.open_not_detected')
    GROUP BY e.command_id, e.locker_id
) seen
WHERE c.id = seen.command_id AND outcome_rank(seen.outcome) > outcome_rank(c.outcome)
RETURNING c.id

-- durable_add --
INSERT INTO command (id, class, locker_id, kind, door, actor_id, ordered_by, reason, args, accepted_at, deadline_ms,
                     expires_at, state, late, stages_ms, updated_at)
VALUES (%(id)s, 'durable', %(locker)s, %(kind)s, %(door)s, %(actor)s, %(by)s, %(reason)s, %(args)s, %(accepted_at)s,
        %(deadline_ms)s, %(expires_at)s, 'queued', false, '{}', %(accepted_at)s)
ON CONFLICT (id) DO NOTHING

-- durable_adopt --
-- Asked for again, and taken: whoever wrote it first, in doubt, may no longer delete it.
UPDATE command SET updated_at = now() WHERE id = %(id)s AND class = 'durable' AND state = 'queued'

-- durable_deliver --
-- Written before anything is sent: a row that says queued was never sent, whatever crashes.
UPDATE command SET state = CASE state WHEN 'queued' THEN 'sent' ELSE state END, attempts = attempts + 1,
                   updated_at = now()
WHERE id = ANY (%(ids)s) AND class = 'durable' AND state IN ('queued', 'sent', 'accepted') AND NOT cancel_requested

-- durable_settle --
UPDATE command SET state = %(state)s, detail = %(detail)s, stages_ms = stages_ms || %(stages_ms)s, updated_at = now()
WHERE id = %(id)s AND command_rank(%(state)s) > command_rank(state)

-- durable_expire --
-- Of what was sent only its locker can tell; but a forget is not worth keeping a name for without an end.
UPDATE command SET state = 'expired', detail = %(detail)s, updated_at = now()
WHERE id = ANY (%(ids)s) AND class = 'durable'
  AND (state = 'queued' OR (kind = 'forget' AND state IN ('sent', 'accepted', 'timed_out')))

-- durable_overdue --
UPDATE command SET detail = %(detail)s, updated_at = now()
WHERE id = ANY (%(ids)s) AND class = 'durable' AND state IN ('sent', 'accepted')

-- durable_cancel --
-- What was never sent is cancelled here and now; of what was sent only its locker can tell.
UPDATE command SET cancel_requested = true, state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
                   updated_at = now()
WHERE id = %(id)s AND class = 'durable' AND kind <> 'forget' AND state IN ('queued', 'sent', 'accepted')

-- durable_take_back --
-- A command whose COMMIT was answered by silence, and whose caller was told that it was not taken. Its row is known by
-- when it was accepted, and nothing has happened to it: another hub may have taken the same command, before or since.
DELETE FROM command c
USING unnest(%(ids)s::uuid[], %(ats)s::timestamptz[]) AS t (id, accepted_at)
WHERE c.id = t.id AND c.accepted_at = t.accepted_at AND c.updated_at = c.accepted_at
  AND c.class = 'durable' AND c.state = 'queued'
