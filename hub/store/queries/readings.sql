-- copy_reading --
COPY reading (sampled_at, received_at, locker_id, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm,
              cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra)
    FROM STDIN (FORMAT BINARY)

-- readings_of --
-- Newest first; readings have no key of their own, so the cursor is the last row's time and how many of that time
-- came before.
SELECT locker_id AS locker, sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm,
       cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, extra
FROM reading
WHERE locker_id = %(locker)s
  AND sampled_at >= %(since)s AND sampled_at < %(until)s
  AND (%(after_at)s::timestamptz IS NULL OR sampled_at <= %(after_at)s)
ORDER BY sampled_at DESC
LIMIT %(limit)s OFFSET %(after_rows)s

-- readings_since --
SELECT count(*) AS count FROM reading
WHERE locker_id = ANY (%(lockers)s::text[]) AND received_at >= %(since)s
  AND sampled_at >= %(since)s::timestamptz - interval '1 hour'

-- readings_newest --
-- By the index, locker for locker: an hour of a large fleet's readings is a lot to go through.
SELECT l.id AS locker, r.sampled_at AS newest
FROM locker l
CROSS JOIN LATERAL (
    SELECT sampled_at FROM reading
    WHERE locker_id = l.id AND sampled_at >= now() - interval '1 hour'
    ORDER BY sampled_at DESC LIMIT 1
) r
