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
