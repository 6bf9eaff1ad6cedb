-- tenant_features --
-- Whoever stores something of a feature holds it on until the end of the transaction.
SELECT badges, codes, transactions FROM tenant WHERE id = %(tenant)s FOR SHARE

-- tenant --
SELECT id, name, badges, codes, transactions, region FROM tenant WHERE id = %(tenant)s

-- tenant_locked --
SELECT badges, codes, transactions FROM tenant WHERE id = %(tenant)s FOR UPDATE

-- tenant_set --
UPDATE tenant SET badges = coalesce(%(badges)s, badges), codes = coalesce(%(codes)s, codes),
                  transactions = coalesce(%(transactions)s, transactions), region = coalesce(%(region)s, region)
WHERE id = %(tenant)s

-- tenant_stored --
SELECT (SELECT count(*) FROM badge WHERE tenant_id = %(tenant)s) AS badges,
       (SELECT count(*) FROM access_code WHERE tenant_id = %(tenant)s) AS codes,
       (SELECT count(*) FROM transaction WHERE tenant_id = %(tenant)s) AS transactions

-- transaction_kinds --
SELECT id, title FROM transaction_kind ORDER BY id

-- transaction_kind_add --
INSERT INTO transaction_kind (id, title) VALUES (%(id)s, %(title)s) ON CONFLICT (id) DO NOTHING

-- account_add --
INSERT INTO account (id, tenant_id, actor_id, email, email_key, name, created_at)
VALUES (%(id)s, %(tenant)s, %(actor)s, %(email)s, %(email_key)s, %(name)s, %(at)s)
ON CONFLICT (tenant_id, (coalesce(email_key, lower(email)))) DO NOTHING

-- account --
SELECT a.id, a.actor_id AS actor, a.email, a.name, a.created_at, a.deactivated_at, a.restricted_at, a.restricted_why,
       EXISTS (SELECT FROM credential c WHERE c.account_id = a.id) AS has_credential
FROM account a WHERE a.id = %(account)s AND a.tenant_id = %(tenant)s

-- account_locked --
-- Whatever is stored of a person waits for their erasure, and their erasure for it.
SELECT id, actor_id AS actor, deactivated_at, restricted_at FROM account
WHERE id = %(account)s AND tenant_id = %(tenant)s FOR UPDATE

-- accounts_page --
-- By id, which says nothing. A restricted account is found by its id only.
SELECT a.id, a.actor_id AS actor, a.email, a.name, a.created_at, a.deactivated_at, a.restricted_at, a.restricted_why,
       EXISTS (SELECT FROM credential c WHERE c.account_id = a.id) AS has_credential
FROM account a
WHERE a.tenant_id = %(tenant)s AND a.restricted_at IS NULL
  AND (%(active)s::boolean IS NULL OR (a.deactivated_at IS NULL) = %(active)s)
  AND (%(email_key)s::text IS NULL OR coalesce(a.email_key, lower(a.email)) = %(email_key)s)
  AND (%(part)s::text IS NULL OR position(%(part)s IN coalesce(a.email_key, lower(a.email))) > 0
       OR position(%(part)s IN lower(a.name)) > 0)
  AND (%(badge)s::text IS NULL
       OR EXISTS (SELECT FROM badge b WHERE b.account_id = a.id AND b.number = %(badge)s))
  AND (%(after)s::uuid IS NULL OR a.id > %(after)s)
ORDER BY a.id LIMIT %(limit)s

-- account_deactivate --
UPDATE account SET deactivated_at = %(at)s WHERE id = %(account)s AND deactivated_at IS NULL

-- account_reactivate --
UPDATE account SET deactivated_at = NULL WHERE id = %(account)s AND deactivated_at IS NOT NULL

-- account_being_erased --
SELECT EXISTS (SELECT FROM erasure WHERE account_id = %(account)s) AS erasing

-- account_rectify --
UPDATE account SET email = coalesce(%(email)s, email), email_key = coalesce(%(email_key)s, email_key),
                   name = coalesce(%(name)s, name)
WHERE id = %(account)s

-- account_restrict --
UPDATE account SET restricted_at = coalesce(restricted_at, %(at)s), restricted_why = %(why)s WHERE id = %(account)s

-- account_unrestrict --
UPDATE account SET restricted_at = NULL, restricted_why = NULL WHERE id = %(account)s

-- accounts_barred --
-- Whose name no command is to carry.
SELECT actor_id AS actor FROM account WHERE restricted_at IS NOT NULL
UNION
SELECT actor_id FROM erasure WHERE actor_id IS NOT NULL

-- credential_put --
INSERT INTO credential (account_id, salt, hash, scrypt_n, scrypt_r, scrypt_p, set_at)
VALUES (%(account)s, %(salt)s, %(hash)s, %(scrypt_n)s, %(scrypt_r)s, %(scrypt_p)s, %(at)s)
ON CONFLICT (account_id) DO UPDATE SET salt = excluded.salt, hash = excluded.hash, scrypt_n = excluded.scrypt_n,
    scrypt_r = excluded.scrypt_r, scrypt_p = excluded.scrypt_p, set_at = excluded.set_at

-- credential --
SELECT c.salt, c.hash, c.scrypt_n, c.scrypt_r, c.scrypt_p
FROM credential c JOIN account a ON a.id = c.account_id
WHERE c.account_id = %(account)s AND a.tenant_id = %(tenant)s

-- badge_add --
INSERT INTO badge (id, tenant_id, account_id, number, added_at)
VALUES (%(id)s, %(tenant)s, %(account)s, %(number)s, %(at)s)
ON CONFLICT (tenant_id, number) DO NOTHING

-- badges_of --
SELECT id, number, added_at FROM badge WHERE account_id = %(account)s AND tenant_id = %(tenant)s ORDER BY added_at, id

-- badge_remove --
DELETE FROM badge WHERE id = %(badge)s AND account_id = %(account)s AND tenant_id = %(tenant)s

-- badges_let_go --
DELETE FROM badge b USING account a
WHERE b.tenant_id = %(tenant)s AND a.id = b.account_id AND NOT held(a.tenant_id, NULL, a.actor_id, NULL, NULL)

-- notice_add --
INSERT INTO notice (tenant_id, version, body, effective_at, published_at, published_by)
SELECT %(tenant)s, coalesce(max(version), 0) + 1, %(body)s, %(effective_at)s, %(at)s, %(by)s
FROM notice WHERE tenant_id = %(tenant)s
RETURNING version

-- notices --
SELECT version, effective_at, published_at, published_by, length(body) AS characters
FROM notice WHERE tenant_id = %(tenant)s ORDER BY version DESC

-- notice --
SELECT version, body, effective_at, published_at, published_by
FROM notice WHERE tenant_id = %(tenant)s AND version = %(version)s

-- notice_accept --
INSERT INTO notice_acceptance (account_id, tenant_id, version, accepted_at)
SELECT %(account)s, tenant_id, version, %(at)s FROM notice WHERE tenant_id = %(tenant)s AND version = %(version)s
ON CONFLICT (account_id, version) DO UPDATE SET accepted_at = excluded.accepted_at, withdrawn_at = NULL
    WHERE notice_acceptance.withdrawn_at IS NOT NULL

-- notice_withdraw --
UPDATE notice_acceptance SET withdrawn_at = %(at)s
WHERE account_id = %(account)s AND withdrawn_at IS NULL
