-- hold_begin --
-- Whoever deletes is through with it, or waits from here on: what is found now is still there when the hold is.
LOCK TABLE legal_hold IN ROW EXCLUSIVE MODE

-- hold_found --
-- A locker that has left the registry still has its ledgers, and a transaction its events.
SELECT EXISTS (SELECT FROM tenant WHERE id = %(tenant)s) AS tenant,
       EXISTS (SELECT FROM locker WHERE id = %(locker)s AND tenant_id = %(tenant)s)
           OR EXISTS (SELECT FROM ledger_cursor WHERE locker_id = %(locker)s
                        AND NOT EXISTS (SELECT FROM locker WHERE id = %(locker)s)) AS locker,
       (SELECT actor_id FROM account WHERE id = %(account)s AND tenant_id = %(tenant)s) AS actor,
       EXISTS (SELECT FROM transaction WHERE id = %(transaction)s AND tenant_id = %(tenant)s)
           OR EXISTS (SELECT FROM event WHERE transaction_id = %(transaction)s AND tenant_id = %(tenant)s)
           AS transaction

-- hold_add --
INSERT INTO legal_hold (id, tenant_id, locker_id, account_id, actor_id, transaction_id, since, before, why, placed_by,
                        placed_at, until)
VALUES (%(id)s, %(tenant)s, %(locker)s, %(account)s, %(actor)s, %(transaction)s, %(since)s, %(before)s, %(why)s,
        %(placed_by)s, %(placed_at)s, %(until)s)

-- hold_one --
SELECT id, tenant_id AS tenant, locker_id AS locker, account_id AS account, transaction_id AS transaction, since, before,
       why, placed_by, placed_at, until, released_at, released_by, release_why,
       released_at IS NULL AND (until IS NULL OR until > now()) AS active
FROM legal_hold WHERE id = %(id)s

-- hold_page --
SELECT id, tenant_id AS tenant, locker_id AS locker, account_id AS account, transaction_id AS transaction, since, before,
       why, placed_by, placed_at, until, released_at, released_by, release_why,
       released_at IS NULL AND (until IS NULL OR until > now()) AS active
FROM legal_hold
WHERE (NOT %(active)s OR released_at IS NULL AND (until IS NULL OR until > now()))
  AND (%(after_at)s::timestamptz IS NULL OR (placed_at, id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY placed_at DESC, id DESC LIMIT %(limit)s

-- hold_release --
UPDATE legal_hold SET released_at = %(at)s, released_by = %(by)s, release_why = %(why)s
WHERE id = %(id)s AND released_at IS NULL AND (until IS NULL OR until > %(at)s)

-- hold_count --
SELECT count(*) AS active FROM legal_hold WHERE released_at IS NULL AND (until IS NULL OR until > now())
