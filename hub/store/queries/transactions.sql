-- transaction_add --
INSERT INTO transaction (id, tenant_id, account_id, kind, locker_id, door, opened_at, expires_at)
VALUES (%(id)s, %(tenant)s, %(account)s, %(kind)s, %(locker)s, %(door)s, %(at)s, %(expires_at)s)

-- transaction_kind_known --
SELECT EXISTS (SELECT FROM transaction_kind WHERE id = %(kind)s) AS known

-- transaction_locker_known --
-- Whoever removes the locker waits for this transaction, or this one for them.
SELECT l.disabled_why AS disabled,
       %(door)s::smallint IS NULL
       OR EXISTS (SELECT FROM door WHERE locker_id = %(locker)s AND number = %(door)s) AS door
FROM locker l WHERE l.id = %(locker)s AND l.tenant_id = %(tenant)s FOR KEY SHARE

-- transaction_over_at_door --
-- Ends what is over at a door and was not looked at since, so that it keeps nobody out.
UPDATE transaction SET state = 'expired', ended_at = %(at)s
WHERE state = 'open' AND locker_id = %(locker)s AND door = %(door)s AND expires_at <= %(at)s

-- transaction --
SELECT t.id, t.account_id AS account, t.kind, t.locker_id AS locker, t.door, t.state, t.opened_at, t.expires_at,
       t.ended_at, r.score AS rating
FROM transaction t LEFT JOIN rating r ON r.transaction_id = t.id
WHERE t.id = %(transaction)s AND t.tenant_id = %(tenant)s

-- transaction_locked --
SELECT t.id, t.account_id AS account, t.state, a.restricted_at, a.deactivated_at
FROM transaction t JOIN account a ON a.id = t.account_id
WHERE t.id = %(transaction)s AND t.tenant_id = %(tenant)s FOR UPDATE OF t

-- transaction_end --
UPDATE transaction SET state = %(state)s, ended_at = %(at)s WHERE id = %(transaction)s AND state = 'open'

-- transactions_page --
-- Newest first; the cursor is the last row's (opened_at, id).
SELECT t.id, t.account_id AS account, t.kind, t.locker_id AS locker, t.door, t.state, t.opened_at, t.expires_at,
       t.ended_at, r.score AS rating
FROM transaction t LEFT JOIN rating r ON r.transaction_id = t.id JOIN account a ON a.id = t.account_id
WHERE t.tenant_id = %(tenant)s
  AND (a.restricted_at IS NULL OR a.id = %(account)s)
  AND (%(account)s::uuid IS NULL OR t.account_id = %(account)s)
  AND (%(locker)s::text IS NULL OR t.locker_id = %(locker)s)
  AND (%(state)s::text IS NULL OR t.state = %(state)s)
  AND (%(after_at)s::timestamptz IS NULL OR (t.opened_at, t.id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY t.opened_at DESC, t.id DESC LIMIT %(limit)s

-- rating_put --
INSERT INTO rating (transaction_id, score, comment, rated_at)
VALUES (%(transaction)s, %(score)s, %(comment)s, %(at)s)
ON CONFLICT (transaction_id) DO UPDATE SET score = excluded.score, comment = excluded.comment,
    rated_at = excluded.rated_at

-- code_add --
INSERT INTO access_code (id, tenant_id, transaction_id, digest, issued_at, expires_at)
VALUES (%(id)s, %(tenant)s, %(transaction)s, %(digest)s, %(at)s, %(expires_at)s)
ON CONFLICT (tenant_id, digest) DO NOTHING

-- code_find --
SELECT c.id, c.transaction_id AS transaction, c.expires_at, t.kind, t.locker_id AS locker, t.door, a.id AS account,
       a.actor_id AS actor, a.restricted_at IS NOT NULL AS restricted
FROM access_code c JOIN transaction t ON t.id = c.transaction_id JOIN account a ON a.id = t.account_id
WHERE c.tenant_id = %(tenant)s AND c.digest = %(digest)s AND c.expires_at > %(at)s AND t.state = 'open'
  AND (t.expires_at IS NULL OR t.expires_at > %(at)s) AND a.deactivated_at IS NULL

-- code_take --
-- One of those who come with a code at once has it; the others find no row. So does whoever comes after the transaction
-- has ended, for its codes are gone with that.
UPDATE access_code SET taken_at = coalesce(taken_at, %(at)s), taken_as = %(taken_as)s
WHERE id = %(code)s AND (taken_as IS NULL OR taken_as = %(taken_as)s)
RETURNING taken_at

-- codes_expire --
DELETE FROM access_code WHERE expires_at <= %(at)s

-- codes_withdraw --
DELETE FROM access_code

-- codes_let_go --
DELETE FROM access_code WHERE tenant_id = %(tenant)s

-- transactions_expire --
-- Their codes go with them, by the trigger.
UPDATE transaction SET state = 'expired', ended_at = %(at)s
WHERE id IN (SELECT id FROM transaction WHERE state = 'open' AND expires_at <= %(at)s ORDER BY expires_at
             LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED)

-- ratings_let_go --
DELETE FROM rating r USING transaction t, account a
WHERE t.id = r.transaction_id AND t.tenant_id = %(tenant)s AND a.id = t.account_id
  AND NOT held(t.tenant_id, t.locker_id, a.actor_id, t.id, t.opened_at)

-- transactions_let_go --
DELETE FROM transaction t USING account a
WHERE t.tenant_id = %(tenant)s AND a.id = t.account_id
  AND NOT held(t.tenant_id, t.locker_id, a.actor_id, t.id, t.opened_at)
