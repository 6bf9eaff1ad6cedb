-- rights_add --
INSERT INTO rights_request (id, tenant_id, account_id, kind, by_agent, state, received_at, received_by, deadline_at)
VALUES (%(id)s, %(tenant)s, %(account)s, %(kind)s, %(by_agent)s, 'received', %(at)s, %(by)s, %(deadline_at)s)

-- rights_request --
SELECT r.id, r.account_id AS account, r.kind, r.by_agent, r.state, r.received_at, r.received_by, r.deadline_at,
       r.answered_at, r.answered_by, r.answer
FROM rights_request r WHERE r.id = %(request)s AND r.tenant_id = %(tenant)s

-- rights_locked --
SELECT r.id, r.account_id AS account, r.kind, r.by_agent, r.state,
       (SELECT coalesce(array_agg(c.what), '{}') FROM rights_check c WHERE c.request_id = r.id) AS checks
FROM rights_request r WHERE r.id = %(request)s AND r.tenant_id = %(tenant)s FOR UPDATE

-- rights_checks --
SELECT what, how, note, checked_at, checked_by FROM rights_check WHERE request_id = %(request)s ORDER BY checked_at

-- rights_check_put --
INSERT INTO rights_check (request_id, what, how, note, checked_at, checked_by)
VALUES (%(request)s, %(what)s, %(how)s, %(note)s, %(at)s, %(by)s)
ON CONFLICT (request_id, what) DO UPDATE SET how = excluded.how, note = excluded.note,
    checked_at = excluded.checked_at, checked_by = excluded.checked_by

-- rights_state --
UPDATE rights_request SET state = %(state)s WHERE id = %(request)s

-- rights_answer --
UPDATE rights_request SET state = %(state)s, answered_at = %(at)s, answered_by = %(by)s, answer = %(answer)s
WHERE id = %(request)s

-- rights_page --
-- Newest first; the cursor is the last row's (received_at, id).
SELECT r.id, r.account_id AS account, r.kind, r.by_agent, r.state, r.received_at, r.received_by, r.deadline_at,
       r.answered_at, r.answered_by, r.answer
FROM rights_request r
WHERE r.tenant_id = %(tenant)s
  AND (%(account)s::uuid IS NULL OR r.account_id = %(account)s)
  AND (%(state)s::text IS NULL OR r.state = %(state)s)
  AND (NOT %(overdue)s OR (r.answered_at IS NULL AND r.deadline_at <= %(at)s))
  AND (%(after_at)s::timestamptz IS NULL OR (r.received_at, r.id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY r.received_at DESC, r.id DESC LIMIT %(limit)s

-- rights_counts --
SELECT count(*) AS open, count(*) FILTER (WHERE deadline_at <= %(at)s) AS overdue,
       count(*) FILTER (WHERE deadline_at > %(at)s AND deadline_at <= %(soon)s) AS due_soon
FROM rights_request WHERE answered_at IS NULL

-- erasure_counts --
SELECT count(*) FILTER (WHERE done_at IS NULL) AS unfinished, count(*) FILTER (WHERE kept <> '{}') AS held
FROM erasure WHERE account_id IS NOT NULL AND (done_at IS NULL OR kept <> '{}')

-- export_begin --
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- export_who --
SELECT actor_id AS actor FROM account WHERE id = %(account)s AND tenant_id = %(tenant)s

-- export_account --
SELECT id, actor_id AS actor, email, name, created_at, deactivated_at, restricted_at, restricted_why
FROM account WHERE id = %(account)s

-- export_credential --
SELECT set_at FROM credential WHERE account_id = %(account)s

-- export_badges --
SELECT number, added_at FROM badge WHERE account_id = %(account)s ORDER BY added_at, number

-- export_transactions --
SELECT id, kind, locker_id AS locker, door, state, opened_at, expires_at, ended_at
FROM transaction WHERE account_id = %(account)s ORDER BY opened_at, id

-- export_ratings --
SELECT r.transaction_id AS transaction, r.score, r.comment, r.rated_at
FROM rating r JOIN transaction t ON t.id = r.transaction_id WHERE t.account_id = %(account)s ORDER BY r.rated_at

-- export_codes --
SELECT c.transaction_id AS transaction, c.issued_at, c.expires_at, c.taken_at
FROM access_code c JOIN transaction t ON t.id = c.transaction_id WHERE t.account_id = %(account)s
ORDER BY c.issued_at

-- export_acceptances --
SELECT version, accepted_at, withdrawn_at FROM notice_acceptance WHERE account_id = %(account)s ORDER BY version

-- export_requests --
SELECT id, kind, by_agent, state, received_at, deadline_at, answered_at, answer
FROM rights_request WHERE account_id = %(account)s ORDER BY received_at, id

-- export_checks --
SELECT c.request_id AS request, c.what, c.how, c.note, c.checked_at
FROM rights_check c JOIN rights_request r ON r.id = c.request_id WHERE r.account_id = %(account)s
ORDER BY c.checked_at

-- export_commands --
SELECT id, locker_id AS locker, kind, door, reason, args, accepted_at, state, detail, outcome
FROM command WHERE actor_id = %(actor)s ORDER BY accepted_at, id

-- export_events --
SELECT occurred_at, received_at, locker_id AS locker, epoch, seq, kind, door, command_id AS command,
       transaction_id AS transaction, clock, data
FROM event WHERE actor_id = %(actor)s ORDER BY occurred_at, epoch, seq

-- export_audit --
-- Who of the operators did it is not the person's, but what was done is.
SELECT at, action, detail FROM audit WHERE subject = %(subject)s ORDER BY id
