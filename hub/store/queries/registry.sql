-- registry_version --
SELECT version FROM registry_version

-- registry --
SELECT l.id, l.tenant_id, l.name, l.site,
       coalesce(array_agg((d.number, d.label, d.size, d.grid_row, d.grid_column, d.in_service, d.service_reason)
                          ORDER BY d.number) FILTER (WHERE d.number IS NOT NULL), '{}') AS doors
FROM locker l LEFT JOIN door d ON d.locker_id = l.id
GROUP BY l.id ORDER BY l.id

-- locker_add --
INSERT INTO locker (id, name, site) VALUES (%(id)s, %(name)s, %(site)s) ON CONFLICT (id) DO NOTHING

-- door_add --
INSERT INTO door (locker_id, number, label, size, grid_row, grid_column)
VALUES (%(locker)s, %(number)s, %(label)s, %(size)s, %(row)s, %(column)s)
ON CONFLICT (locker_id, number) DO NOTHING
