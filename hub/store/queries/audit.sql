-- audit_lock --
-- Whoever writes a row waits here for the transaction before it to end.
SELECT id, hash FROM audit_head FOR UPDATE

-- audit_add --
INSERT INTO audit (id, at, who, action, subject, salt, subject_digest, detail, hash)
VALUES (%(id)s, %(at)s, %(who)s, %(action)s, %(subject)s, %(salt)s, %(subject_digest)s, %(detail)s::json, %(hash)s)

-- audit_advance --
UPDATE audit_head SET id = %(id)s, hash = %(hash)s

-- audit_ends --
SELECT a.up_to_id AS anchor_id, a.hash AS anchor_hash, h.id AS head_id, h.hash AS head_hash
FROM audit_anchor a CROSS JOIN audit_head h

-- audit_rows --
-- In the order of the chain.
SELECT id, at, who, action, subject, salt, subject_digest, detail::text AS detail, hash
FROM audit WHERE id > %(after)s ORDER BY id LIMIT %(limit)s

-- audit_page --
-- Newest first; the cursor is the last row's id.
SELECT id, at, who, action, subject, detail
FROM audit
WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
  AND (%(who)s::text IS NULL OR who = %(who)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
ORDER BY id DESC LIMIT %(limit)s
