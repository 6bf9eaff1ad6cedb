-- erasure_subject --
-- Who is to be erased; held to the end of the transaction.
SELECT id, tenant_id AS tenant, actor_id AS actor, email, created_at FROM account WHERE id = %(account)s FOR UPDATE

-- erasure_begin --
INSERT INTO erasure (id, tenant_id, account_id, actor_id, cause, asked_by, request_id, began_at, keep_until)
VALUES (%(id)s, %(tenant)s, %(account)s, %(actor)s, %(cause)s, %(by)s, %(request)s, %(at)s, %(keep_until)s)
ON CONFLICT (account_id) DO NOTHING

-- erasure_close_account --
UPDATE account SET deactivated_at = coalesce(deactivated_at, %(at)s) WHERE id = %(account)s

-- erasure_of --
SELECT id, tenant_id AS tenant, account_id AS account, actor_id AS actor, cause, asked_by, request_id AS request,
       began_at, done_at, kept, deleted, keep_until
FROM erasure WHERE account_id = %(account)s

-- erasures_to_do --
-- Without an end, held in part, or with something of the person that came later: from a locker that was away, for no
-- longer than such a locker is waited for.
SELECT e.account_id AS account, e.cause, e.asked_by, e.request_id AS request
FROM erasure e
WHERE e.account_id IS NOT NULL AND (
    e.done_at IS NULL OR e.kept <> '{}'
    OR EXISTS (SELECT FROM event v
               WHERE v.actor_id = e.actor_id AND v.occurred_at >= e.began_at - (e.keep_until - e.began_at))
    OR EXISTS (SELECT FROM command c WHERE c.actor_id = e.actor_id)
    OR EXISTS (SELECT FROM erasure_locker l WHERE l.erasure_id = e.id AND l.told < l.rounds)
)
ORDER BY e.began_at LIMIT %(limit)s

-- restore_told --
SELECT EXISTS (SELECT FROM audit WHERE action = 'restore.check' AND detail ->> 'behind' = %(behind)s) AS told

-- erasure_accounts --
SELECT account_id AS account FROM erasure WHERE account_id IS NOT NULL

-- erasures_let_go --
-- No locker is away for so long: the ids of those who were erased go as well.
UPDATE erasure SET account_id = NULL, actor_id = NULL
WHERE account_id IS NOT NULL AND keep_until <= %(at)s AND done_at IS NOT NULL AND kept = '{}'

-- erasure_patience --
-- A compressed batch is unpacked whole for one row of it; these transactions are bounded by their rows.
SELECT set_config('statement_timeout', %(timeout)s, true),
       set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)

-- erasure_count_up --
UPDATE erasure SET deleted = deleted || jsonb_build_object(%(table)s::text,
    coalesce((deleted ->> %(table)s::text)::bigint, 0) + %(rows)s::bigint)
WHERE id = %(id)s

-- erasure_done --
UPDATE erasure SET done_at = %(at)s, kept = %(kept)s WHERE id = %(id)s

-- erasure_person_held --
-- Whether a hold names the person as such, and not only something of them.
SELECT held(%(tenant)s, NULL, %(actor)s, NULL, NULL) AS held

-- erase_codes --
DELETE FROM access_code c USING transaction t WHERE t.id = c.transaction_id AND t.account_id = %(account)s

-- erase_credential --
DELETE FROM credential WHERE account_id = %(account)s

-- erase_badges --
DELETE FROM badge WHERE account_id = %(account)s

-- erasure_event_lockers --
SELECT locker_id AS locker, count(*) AS rows FROM event WHERE actor_id = %(actor)s GROUP BY locker_id ORDER BY locker_id

-- erasure_events_next --
SELECT occurred_at AS at, epoch, seq,
       held(tenant_id, locker_id, actor_id, transaction_id, occurred_at) AS held
FROM event
WHERE locker_id = %(locker)s AND actor_id = %(actor)s
  AND (%(after)s::timestamptz IS NULL OR occurred_at > %(after)s)
ORDER BY occurred_at LIMIT %(limit)s

-- erase_events --
-- One locker, one range of times, one person: what compressed rows are grouped and sorted by, compared for equality.
DELETE FROM event
WHERE locker_id = %(locker)s AND occurred_at >= %(since)s AND occurred_at <= %(until)s AND actor_id = %(actor)s
  AND NOT held(tenant_id, locker_id, actor_id, transaction_id, occurred_at)
RETURNING occurred_at AS at, epoch, seq

-- erasure_events_left --
SELECT count(*) AS rows FROM event
WHERE locker_id = %(locker)s AND occurred_at >= %(since)s AND occurred_at <= %(until)s AND actor_id = %(actor)s
  AND NOT held(tenant_id, locker_id, actor_id, transaction_id, occurred_at)

-- erasure_ledger_let_go --
SELECT ledger_let_go(%(locker)s, %(epoch)s, 'erasure', %(numbers)s::int8multirange)

-- erasure_locker_touch --
-- What came after the locker was told makes another round.
INSERT INTO erasure_locker AS l (erasure_id, locker_id) VALUES (%(id)s, %(locker)s)
ON CONFLICT (erasure_id, locker_id) DO UPDATE SET rounds = l.rounds + 1 WHERE l.told = l.rounds

-- erasure_lockers_told --
-- In the transaction that writes the orders.
UPDATE erasure_locker SET told = rounds WHERE erasure_id = %(id)s AND told < rounds RETURNING locker_id AS locker

-- erase_commands --
-- What was done to a door stays; for whom, and the free text about it, does not.
UPDATE command SET actor_id = NULL, reason = NULL
WHERE actor_id = %(actor)s AND NOT held(%(tenant)s, locker_id, actor_id, NULL, accepted_at)

-- erase_command_texts --
-- A `forget` that is under way needs the actor; it loses it when it has ended.
UPDATE command SET reason = without_any(reason, %(needles)s), detail = without_any(detail, %(needles)s),
                   args = without_any(args::text, %(needles)s)::jsonb
WHERE accepted_at >= %(since)s AND accepted_at < %(until)s
  AND concat_ws(' ', reason, detail, args::text) ILIKE ANY (%(patterns)s::text[])
  AND NOT (kind = 'forget' AND command_rank(state) < command_rank('succeeded'))
  AND NOT held(%(tenant)s, locker_id, %(actor)s, NULL, accepted_at)

-- erase_job_texts --
UPDATE job SET reason = without_any(reason, %(needles)s), why = without_any(why, %(needles)s),
               args = without_any(args::text, %(needles)s)::jsonb,
               filter = without_any(filter::text, %(needles)s)::jsonb
WHERE created_at >= %(since)s
  AND concat_ws(' ', reason, why, args::text, filter::text) ILIKE ANY (%(patterns)s::text[])

-- erase_job_target_texts --
UPDATE job_target t SET why = without_any(t.why, %(needles)s)
FROM job j
WHERE j.id = t.job_id AND j.created_at >= %(since)s AND t.why ILIKE ANY (%(patterns)s::text[])

-- erase_job_step_texts --
UPDATE job_step s SET detail = without_any(s.detail, %(needles)s)
FROM job j
WHERE j.id = s.job_id AND j.created_at >= %(since)s AND s.detail ILIKE ANY (%(patterns)s::text[])

-- erase_quarantine --
-- The row stays: its number is accounted for by it.
UPDATE quarantine SET payload = '', detail = ''
WHERE (concat_ws(' ', encode(payload, 'escape'), detail) ILIKE ANY (%(patterns)s::text[])
       OR EXISTS (SELECT FROM unnest(%(needles)s::text[]) AS n WHERE position(convert_to(n, 'UTF8') IN payload) > 0))
  AND NOT held(%(tenant)s, locker_id, %(actor)s, NULL, received_at)

-- erase_ratings --
DELETE FROM rating r USING transaction t
WHERE t.id = r.transaction_id AND t.account_id = %(account)s
  AND NOT held(t.tenant_id, t.locker_id, %(actor)s, t.id, t.opened_at)

-- erase_transactions --
DELETE FROM transaction t
WHERE t.account_id = %(account)s AND NOT held(t.tenant_id, t.locker_id, %(actor)s, t.id, t.opened_at)

-- erase_acceptances --
DELETE FROM notice_acceptance WHERE account_id = %(account)s

-- erase_audit --
UPDATE audit SET subject = NULL, salt = NULL WHERE subject = ANY (%(subjects)s)

-- erase_check_notes --
UPDATE rights_check SET note = NULL
WHERE note IS NOT NULL AND request_id IN (SELECT id FROM rights_request WHERE account_id = %(account)s)

-- erase_requests --
UPDATE rights_request SET account_id = NULL, answer = NULL WHERE account_id = %(account)s

-- erasure_left_transactions --
SELECT count(*) AS rows FROM transaction WHERE account_id = %(account)s

-- erase_account --
DELETE FROM account WHERE id = %(account)s

-- erasure_events_there --
-- Nothing but the actor: so compressed batches that have no row of it are never opened.
SELECT count(*) AS rows FROM event WHERE actor_id = %(actor)s

-- erasure_events_held --
SELECT count(*) AS rows FROM event
WHERE actor_id = %(actor)s AND held(tenant_id, locker_id, actor_id, transaction_id, occurred_at)

-- erasure_left --
-- Counted for itself, whatever the steps before said: what is left of the person, and how much of it a hold names.
SELECT 'command' AS of_table, count(*) AS rows,
       count(*) FILTER (WHERE held(%(tenant)s, locker_id, actor_id, NULL, accepted_at)) AS held
FROM command WHERE actor_id = %(actor)s
UNION ALL
SELECT 'transaction', count(*), count(*) FILTER (WHERE held(tenant_id, locker_id, %(actor)s, id, opened_at))
FROM transaction WHERE account_id = %(account)s
UNION ALL
SELECT 'rating', count(*), count(*) FILTER (WHERE held(t.tenant_id, t.locker_id, %(actor)s, t.id, t.opened_at))
FROM rating r JOIN transaction t ON t.id = r.transaction_id WHERE t.account_id = %(account)s
UNION ALL
SELECT 'access_code', count(*), 0 FROM access_code c JOIN transaction t ON t.id = c.transaction_id
WHERE t.account_id = %(account)s
UNION ALL
SELECT 'credential', count(*), count(*) FILTER (WHERE %(person_held)s) FROM credential WHERE account_id = %(account)s
UNION ALL
SELECT 'badge', count(*), count(*) FILTER (WHERE %(person_held)s) FROM badge WHERE account_id = %(account)s
UNION ALL
SELECT 'notice_acceptance', count(*), count(*) FILTER (WHERE %(person_held)s)
FROM notice_acceptance WHERE account_id = %(account)s
UNION ALL
SELECT 'rights_request', count(*), count(*) FILTER (WHERE %(account_stays)s)
FROM rights_request WHERE account_id = %(account)s
UNION ALL
SELECT 'audit', count(*), count(*) FILTER (WHERE %(account_stays)s) FROM audit WHERE subject = ANY (%(subjects)s)
UNION ALL
SELECT 'quarantine', count(*), count(*) FILTER (WHERE held(%(tenant)s, locker_id, %(actor)s, NULL, received_at))
FROM quarantine WHERE concat_ws(' ', encode(payload, 'escape'), detail) ILIKE ANY (%(patterns)s::text[])
UNION ALL
SELECT 'account', count(*), count(*) FILTER (WHERE %(account_stays)s) FROM account WHERE id = %(account)s

-- erasure_holds --
-- The active holds that name something of the person: them, or what is kept of theirs.
SELECT h.id, h.until FROM legal_hold h
WHERE h.tenant_id = %(tenant)s AND h.released_at IS NULL AND (h.until IS NULL OR h.until > now())
  AND (h.actor_id IS NULL OR h.actor_id = %(actor)s)
  AND (h.actor_id IS NOT NULL
       OR EXISTS (SELECT FROM event e
                  WHERE e.actor_id = %(actor)s AND (h.locker_id IS NULL OR h.locker_id = e.locker_id)
                    AND (h.transaction_id IS NULL OR h.transaction_id = e.transaction_id)
                    AND (h.since IS NULL OR h.since <= e.occurred_at)
                    AND (h.before IS NULL OR h.before > e.occurred_at))
       OR EXISTS (SELECT FROM transaction t
                  WHERE t.account_id = %(account)s AND (h.locker_id IS NULL OR h.locker_id = t.locker_id)
                    AND (h.transaction_id IS NULL OR h.transaction_id = t.id)
                    AND (h.since IS NULL OR h.since <= t.opened_at)
                    AND (h.before IS NULL OR h.before > t.opened_at)))
ORDER BY h.placed_at, h.id

-- audit_newest --
SELECT id, hash FROM audit_head

-- audit_row_hash --
SELECT hash FROM audit WHERE id = %(id)s
