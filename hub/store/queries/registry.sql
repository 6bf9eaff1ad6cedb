-- registry_version --
SELECT version FROM registry_version

-- registry --
SELECT l.id, l.tenant_id, l.name, l.site, l.address, l.serial, l.tags,
       coalesce(array_agg((d.number, d.label, d.size, d.grid_row, d.grid_column, d.in_service, d.service_reason)
                          ORDER BY d.number) FILTER (WHERE d.number IS NOT NULL), '{}') AS doors
FROM locker l LEFT JOIN door d ON d.locker_id = l.id
GROUP BY l.id ORDER BY l.id

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
