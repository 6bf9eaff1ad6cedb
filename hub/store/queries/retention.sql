-- retention_tenants --
SELECT id FROM tenant ORDER BY id

-- retention_limits --
-- For this transaction: whoever writes waits at most so long for it, and it gives up by itself.
SELECT set_config('lock_timeout', %(lock_timeout_ms)s::text, true),
       set_config('statement_timeout', %(statement_timeout_ms)s::text, true)

-- retention_chunks --
SELECT chunk AS name, lower, upper FROM series_chunks(%(series)s)

-- retention_due --
-- What a hold keeps is found without a look at any row where there is no hold.
SELECT count(*) AS due, count(*) FILTER (WHERE %(holds)s AND {held}) AS held,
       min(r.{at}) FILTER (WHERE NOT (%(holds)s AND {held})) AS oldest
FROM {source} r
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz AND {due}

-- retention_held --
SELECT count(*) AS held FROM {source} r
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz AND {held}

-- retention_lockers_due --
SELECT r.locker_id AS locker, count(*) AS due FROM {source} r
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz AND {due} AND NOT (%(holds)s AND {held})
GROUP BY r.locker_id ORDER BY r.locker_id

-- retention_batch --
-- How far one transaction goes with a locker's oldest rows, and how many that is.
SELECT count(*) AS due, max(oldest.at) AS last FROM (
    SELECT r.{at} AS at FROM {source} r
    WHERE r.locker_id = %(locker)s AND r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz
      AND {due} AND NOT (%(holds)s AND {held})
    ORDER BY r.{at} LIMIT %(rows_max)s
) oldest

-- retention_batch_count --
-- Apart from the deletion, which has to agree.
SELECT count(*) AS due FROM {source} r
WHERE r.locker_id = %(locker)s AND r.{at} >= %(lower)s::timestamptz AND r.{at} <= %(last)s
  AND {due} AND NOT (%(holds)s AND {held})

-- retention_delete --
-- By the locker and its time first: so compressed rows are found by what they are sorted by.
DELETE FROM {source} r
WHERE r.locker_id = %(locker)s AND r.{at} >= %(lower)s::timestamptz AND r.{at} <= %(last)s
  AND {due} AND NOT (%(holds)s AND {held})

-- retention_delete_numbered --
WITH deleted AS (
    DELETE FROM {source} r
    WHERE r.locker_id = %(locker)s AND r.{at} >= %(lower)s::timestamptz AND r.{at} <= %(last)s
      AND {due} AND NOT (%(holds)s AND {held})
    RETURNING r.epoch, r.seq
)
SELECT epoch, range_agg(int8range(seq, seq, '[]'))::text AS numbers, count(*) AS deleted FROM deleted GROUP BY epoch

-- retention_ledgers --
-- Dense where the numbers are as many as from the first to the last, and as large together.
SELECT locker_id AS locker, epoch, min(seq) AS first, max(seq) AS last, count(*) AS count,
       count(*) = max(seq) - min(seq) + 1 AND sum(seq) * 2 = (min(seq)::numeric + max(seq)) * count(*) AS dense
FROM {source} r
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz
GROUP BY locker_id, epoch ORDER BY locker_id, epoch

-- retention_ledgers_with_holes --
SELECT locker_id AS locker, epoch, range_agg(int8range(seq, seq, '[]'))::text AS numbers
FROM {source} r
JOIN unnest(%(lockers)s::text[], %(epochs)s::uuid[]) AS t (locker_id, epoch) USING (locker_id, epoch)
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz
GROUP BY locker_id, epoch

-- retention_count --
SELECT count(*) AS count FROM {source} r
WHERE r.{at} >= %(lower)s::timestamptz AND r.{at} < %(upper)s::timestamptz

-- retention_let_go --
SELECT ledgers_let_go(%(lockers)s::text[], %(epochs)s::uuid[], 'retention', %(numbers)s::text[]::int8multirange[])

-- retention_chunk_close --
SELECT chunk_close(%(chunk)s)

-- retention_chunk_drop --
SELECT chunk_drop(%(series)s, %(chunk)s, %(lower)s::timestamptz, %(upper)s::timestamptz)

-- retention_oldest --
SELECT min(r.{at}) AS oldest FROM {source} r

-- retention_oldest_beside --
SELECT (SELECT min(deactivated_at) FROM account) AS account, (SELECT min(at) FROM audit) AS audit,
       (SELECT min(created_at) FROM job WHERE ended_at IS NOT NULL) AS job,
       (SELECT min(closed_at) FROM alarm) AS alarm,
       (SELECT min(received_at) FROM quarantine WHERE seq IS NULL OR payload <> '' OR detail <> '') AS quarantine,
       (SELECT min(answered_at) FROM rights_request) AS rights

-- retention_overdue --
-- Rows below the cut-off: kept by a hold then, come since then, or neither.
SELECT count(*) FILTER (WHERE held) AS held, count(*) FILTER (WHERE late AND NOT held) AS late,
       count(*) FILTER (WHERE NOT late AND NOT held) AS overdue,
       min(at) FILTER (WHERE NOT late AND NOT held) AS oldest
FROM (
    SELECT r.{at} AS at, coalesce({received} >= %(began_at)s, false) AS late,
           held_at(%(began_at)s, {tenant}, r.locker_id, {actor}, {transaction}, r.{at})
           OR held_at(%(sealed_at)s, {tenant}, r.locker_id, {actor}, {transaction}, r.{at}) AS held
    FROM {source} r WHERE {due}
) rows

-- retention_step_add --
INSERT INTO retention_step AS s (number, category, series, chunk, lower, upper, act, removed)
VALUES (%(number)s, %(category)s, %(series)s, %(chunk)s, %(lower)s, %(upper)s, %(act)s, %(removed)s)
ON CONFLICT (number, category, series, chunk, act) DO UPDATE SET removed = s.removed + excluded.removed

-- retention_steps --
SELECT category, series, chunk, lower, upper, act, removed FROM retention_step
WHERE number = %(number)s ORDER BY category, series, lower NULLS LAST, chunk, act

-- retention_jobs_due --
SELECT count(*) AS due, count(*) FILTER (WHERE held) AS held, min(created_at) AS oldest FROM (
    SELECT j.created_at, EXISTS (
        SELECT FROM job_target t WHERE t.job_id = j.id
          AND held_at(greatest(now(), %(now)s), tenant_of(t.locker_id), t.locker_id, NULL, NULL, j.created_at)
    ) AS held
    FROM job j WHERE j.created_at < %(before)s AND j.ended_at IS NOT NULL
) jobs

-- retention_jobs_delete --
-- Their targets and steps go with them, thousands of them sometimes, so they are few at a time.
DELETE FROM job WHERE id IN (
    SELECT j.id FROM job j
    WHERE j.created_at < %(before)s AND j.ended_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM job_target t WHERE t.job_id = j.id
          AND held_at(greatest(now(), %(now)s), tenant_of(t.locker_id), t.locker_id, NULL, NULL, j.created_at)
    )
    ORDER BY j.created_at LIMIT %(rows_max)s
)

-- retention_alarms_due --
SELECT count(*) AS due,
       count(*) FILTER (WHERE held_at(greatest(now(), %(now)s), a.tenant_id, a.locker_id, NULL, NULL, a.closed_at)) AS held,
       min(a.closed_at) AS oldest
FROM alarm a
WHERE a.closed_at < cut_off_of(a.tenant_id, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s)

-- retention_alarms_delete --
-- Their journals go with them.
DELETE FROM alarm WHERE id IN (
    SELECT a.id FROM alarm a
    WHERE a.closed_at < cut_off_of(a.tenant_id, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s)
      AND NOT held_at(greatest(now(), %(now)s), a.tenant_id, a.locker_id, NULL, NULL, a.closed_at)
    ORDER BY a.closed_at LIMIT %(rows_max)s
)

-- retention_maintenance_due --
SELECT count(*) AS due, min(ends_at) AS oldest FROM maintenance WHERE ends_at < %(default)s

-- retention_maintenance_delete --
DELETE FROM maintenance WHERE id IN (
    SELECT id FROM maintenance WHERE ends_at < %(default)s ORDER BY ends_at LIMIT %(rows_max)s
)

-- retention_quarantine_due --
-- A row without a number is deleted; one that holds a number of a ledger is emptied first, and deleted when the event
-- would have been.
SELECT count(*) FILTER (WHERE act = 'rows') AS rows, count(*) FILTER (WHERE act = 'emptied') AS emptied,
       count(*) FILTER (WHERE act = 'rows' AND held) AS rows_held,
       count(*) FILTER (WHERE act = 'emptied' AND held) AS emptied_held, min(received_at) AS oldest
FROM (
    SELECT q.received_at,
           CASE WHEN q.seq IS NULL OR q.received_at < cut_off_of(tenant_of(q.locker_id), %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s) THEN 'rows' ELSE 'emptied' END AS act,
           held_at(greatest(now(), %(now)s), tenant_of(q.locker_id), q.locker_id, NULL, NULL, q.received_at) AS held
    FROM quarantine q
    WHERE q.received_at < %(before)s
      AND (q.seq IS NULL OR q.received_at < cut_off_of(tenant_of(q.locker_id), %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s) OR q.payload <> '' OR q.detail <> '')
) rows

-- retention_quarantine_empty --
UPDATE quarantine SET payload = '', detail = '' WHERE id IN (
    SELECT q.id FROM quarantine q
    WHERE q.received_at < %(before)s AND q.seq IS NOT NULL AND (q.payload <> '' OR q.detail <> '')
      AND NOT held_at(greatest(now(), %(now)s), tenant_of(q.locker_id), q.locker_id, NULL, NULL, q.received_at)
    ORDER BY q.received_at LIMIT %(rows_max)s
)

-- retention_quarantine_delete --
WITH deleted AS (
    DELETE FROM quarantine WHERE id IN (
        SELECT q.id FROM quarantine q
        WHERE q.received_at < %(before)s AND (q.seq IS NULL OR q.received_at < cut_off_of(tenant_of(q.locker_id), %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s))
          AND NOT held_at(greatest(now(), %(now)s), tenant_of(q.locker_id), q.locker_id, NULL, NULL, q.received_at)
        ORDER BY q.received_at LIMIT %(rows_max)s
    )
    RETURNING locker_id, epoch, seq
)
SELECT locker_id AS locker, epoch, range_agg(int8range(seq, seq, '[]')) FILTER (WHERE seq IS NOT NULL)::text AS numbers,
       count(DISTINCT seq) AS numbered, count(*) AS deleted
FROM deleted GROUP BY locker_id, epoch

-- retention_quarantine_let_go --
-- They are no longer in quarantine: from here on they count as gone.
UPDATE ledger_cursor c SET quarantined = c.quarantined - t.numbered
FROM unnest(%(lockers)s::text[], %(epochs)s::uuid[], %(numbered)s::bigint[]) AS t (locker_id, epoch, numbered)
WHERE c.locker_id = t.locker_id AND c.epoch = t.epoch

-- retention_rights_due --
-- A request is its person's, and of the time at which it was received.
SELECT count(*) AS due, count(*) FILTER (WHERE held) AS held, min(answered_at) AS oldest FROM (
    SELECT r.answered_at,
           held_at(greatest(now(), %(now)s), r.tenant_id, NULL, a.actor_id, NULL, r.received_at) AS held
    FROM rights_request r LEFT JOIN account a ON a.id = r.account_id
    WHERE r.answered_at < cut_off_of(r.tenant_id, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s)
) requests

-- retention_rights_delete --
WITH gone AS MATERIALIZED (
    SELECT r.id FROM rights_request r LEFT JOIN account a ON a.id = r.account_id
    WHERE r.answered_at < cut_off_of(r.tenant_id, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s)
      AND NOT held_at(greatest(now(), %(now)s), r.tenant_id, NULL, a.actor_id, NULL, r.received_at)
    ORDER BY r.answered_at LIMIT %(rows_max)s
), checks AS (
    DELETE FROM rights_check WHERE request_id IN (SELECT id FROM gone)
)
DELETE FROM rights_request WHERE id IN (SELECT id FROM gone)

-- retention_audit_due --
SELECT count(*) AS due, min(at) AS oldest FROM audit WHERE at < %(before)s

-- retention_audit_delete --
SELECT audit_let_go(%(before)s, %(rows_max)s) AS deleted

-- retention_audit_anchor --
SELECT up_to_id AS rows, encode(hash, 'hex') AS sha256 FROM audit_anchor

-- retention_accounts_due --
SELECT a.id FROM account a
WHERE a.deactivated_at < cut_off_of(a.tenant_id, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s)
ORDER BY a.deactivated_at, a.id

-- retention_run_add --
INSERT INTO retention_run (number, began_at, began)
SELECT coalesce(max(number), 0) + 1, %(began_at)s, %(began)s FROM retention_run
RETURNING number

-- retention_run_open --
SELECT number, began_at, began FROM retention_run WHERE sealed_at IS NULL

-- retention_run_seal --
UPDATE retention_run SET sealed_at = %(sealed_at)s, proof = %(proof)s, sha256 = %(sha256)s
WHERE number = %(number)s AND sealed_at IS NULL

-- retention_run_restore --
-- From its file: the row is not there, or says that the run never ended.
INSERT INTO retention_run (number, began_at, began, sealed_at, proof, sha256)
VALUES (%(number)s, %(began_at)s, '{}', %(sealed_at)s, %(proof)s, %(sha256)s)
ON CONFLICT (number) DO UPDATE SET sealed_at = excluded.sealed_at, proof = excluded.proof, sha256 = excluded.sha256
WHERE retention_run.sealed_at IS NULL

-- retention_proofs --
SELECT number, began_at, sealed_at, proof, sha256 FROM retention_run
WHERE sealed_at IS NOT NULL AND (%(number)s::bigint IS NULL OR number = %(number)s)
  AND (%(after)s::bigint IS NULL OR number > %(after)s)
  AND (%(below)s::bigint IS NULL OR number < %(below)s)
ORDER BY CASE WHEN %(newest)s THEN -number ELSE number END LIMIT %(limit)s

-- retention_holds --
-- The times that active holds name.
SELECT id, since, before FROM legal_hold
WHERE (until IS NULL OR until > greatest(now(), %(now)s)) AND released_at IS NULL
ORDER BY placed_at, id

-- retention_hold_lock --
-- A hold is there before a deletion looks for holds, or it comes after the deletion: never between.
LOCK TABLE legal_hold IN SHARE MODE

-- retention_hold_keeps --
SELECT count(*) AS kept FROM {source} r
WHERE {due} AND EXISTS (
    SELECT FROM legal_hold h
    WHERE h.id = %(hold)s AND h.tenant_id = {tenant}
      AND (h.locker_id IS NULL OR h.locker_id = r.locker_id)
      AND (h.actor_id IS NULL OR h.actor_id = {actor})
      AND (h.transaction_id IS NULL OR h.transaction_id = {transaction})
      AND (h.since IS NULL OR h.since <= r.{at}) AND (h.before IS NULL OR h.before > r.{at})
)

-- retention_chunks_there --
SELECT name FROM unnest(%(names)s::text[]) AS name WHERE to_regclass(name) IS NOT NULL

-- retention_ledgers_wrong --
-- Ledgers whose cursor counts other numbers as gone than are written down as gone.
SELECT c.locker_id AS locker, c.epoch, c.gone AS counted, coalesce(sum(upper(n) - lower(n)), 0) AS written
FROM ledger_cursor c
LEFT JOIN ledger_gone g ON g.locker_id = c.locker_id AND g.epoch = c.epoch
LEFT JOIN LATERAL unnest(g.numbers) AS n ON true
GROUP BY c.locker_id, c.epoch, c.gone
HAVING c.gone <> coalesce(sum(upper(n) - lower(n)), 0)
ORDER BY 1, 2 LIMIT %(rows_max)s

-- retention_resurrected --
-- Numbers that are gone and nevertheless stored, from one gone range to the next by the key of the events.
SELECT g.locker_id AS locker, g.epoch, min(e.seq) AS first, count(*) AS rows
FROM ledger_gone g CROSS JOIN LATERAL unnest(g.numbers) AS n
JOIN event e ON e.locker_id = g.locker_id AND e.epoch = g.epoch AND e.seq >= lower(n) AND e.seq < upper(n)
GROUP BY g.locker_id, g.epoch ORDER BY 1, 2 LIMIT %(rows_max)s
