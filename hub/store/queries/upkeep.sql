-- upkeep_know --
INSERT INTO upkeep AS known (task, every_s) VALUES (%(task)s, %(every_s)s)
ON CONFLICT (task) DO UPDATE SET every_s = excluded.every_s WHERE known.every_s <> excluded.every_s

-- upkeep_state --
-- Ages by the database's clock, which all hubs share.
SELECT extract(epoch FROM coalesce(succeeded_at, known_at))::float8 AS good_at,
       extract(epoch FROM now() - succeeded_at)::float8 AS succeeded_ago_s,
       extract(epoch FROM now() - CASE WHEN started_at > coalesce(succeeded_at, '-infinity') THEN started_at END)::float8
           AS tried_ago_s
FROM upkeep WHERE task = %(task)s

-- upkeep_begin --
UPDATE upkeep SET started_at = now(), ended_at = NULL, error = NULL WHERE task = %(task)s

-- upkeep_succeeded --
UPDATE upkeep SET ended_at = now(), succeeded_at = now(), did = %(did)s WHERE task = %(task)s

-- upkeep_failed --
UPDATE upkeep SET ended_at = now(), error = %(error)s WHERE task = %(task)s

-- upkeep_alone --
SELECT pg_try_advisory_lock(%(key)s) AS got

-- upkeep_release --
SELECT pg_advisory_unlock_all()

-- upkeep_tasks --
SELECT task, succeeded_at, error FROM upkeep ORDER BY task
