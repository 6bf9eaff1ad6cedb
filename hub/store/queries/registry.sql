-- registry_version --
SELECT version FROM registry_version

-- registry --
SELECT l.id, l.tenant_id, l.name, l.site, l.address, l.serial, l.tags, l.disabled_why AS disabled,
       coalesce(array_agg((d.number, d.label, d.size, d.grid_row, d.grid_column, d.in_service, d.service_reason)
                          ORDER BY d.number) FILTER (WHERE d.number IS NOT NULL), '{}') AS doors
FROM locker l LEFT JOIN door d ON d.locker_id = l.id
GROUP BY l.id ORDER BY l.id

-- lockers_removed --
SELECT id FROM locker_removed

-- locker_disable --
UPDATE locker SET disabled_at = CASE WHEN %(why)s::text IS NULL THEN NULL ELSE coalesce(disabled_at, %(at)s) END,
                  disabled_why = %(why)s
WHERE id = %(id)s AND disabled_why IS DISTINCT FROM %(why)s

-- locker_transactions_open --
SELECT count(*) AS open FROM transaction WHERE locker_id = %(id)s AND state = 'open'

-- locker_commands_end --
-- What was never sent never will be; of what was sent nobody can know any more.
UPDATE command SET state = CASE WHEN kind = 'forget' THEN 'expired' WHEN state = 'queued' THEN 'cancelled'
                                ELSE 'unknown' END,
                   detail = %(why)s, updated_at = %(at)s
WHERE locker_id = %(id)s AND class = 'durable' AND state IN ('queued', 'sent', 'accepted', 'timed_out')

-- locker_remove --
DELETE FROM locker WHERE id = %(id)s

-- locker_tombstone --
INSERT INTO locker_removed (id, removed_at, removed_by) VALUES (%(id)s, %(at)s, %(by)s)

-- locker_again --
DELETE FROM locker_removed WHERE id = %(id)s

-- locker_add --
INSERT INTO locker (id, name, site, address, serial, tags)
VALUES (%(id)s, %(name)s, %(site)s, %(address)s, %(serial)s, %(tags)s)
ON CONFLICT (id) DO NOTHING

-- locker_locked --
SELECT name, site, address, serial, tags FROM locker WHERE id = %(id)s FOR UPDATE

-- locker_change --
UPDATE locker SET name = %(name)s, site = %(site)s, address = %(address)s, serial = %(serial)s, tags = %(tags)s
WHERE id = %(id)s

-- door_locked --
SELECT in_service, service_reason FROM door WHERE locker_id = %(locker)s AND number = %(number)s FOR UPDATE

-- door_service --
UPDATE door SET in_service = %(in_service)s, service_reason = %(reason)s
WHERE locker_id = %(locker)s AND number = %(number)s

-- door_add --
INSERT INTO door (locker_id, number, label, size, grid_row, grid_column)
VALUES (%(locker)s, %(number)s, %(label)s, %(size)s, %(row)s, %(column)s)
ON CONFLICT (locker_id, number) DO NOTHING
