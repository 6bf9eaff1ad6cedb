-- influx_cursor_begin --
-- A new stream begins now: what was stored before is for `hub influx rebuild`.
INSERT INTO influx_cursor (stream, upto) VALUES (%(stream)s, now() - make_interval(secs => %(lag_s)s))
ON CONFLICT (stream) DO NOTHING

-- influx_cursor_look --
-- Rows carry the begin of their transaction, so up to the horizon nothing can appear any more: it lies before every
-- transaction that has written and goes on, and by lag_s before any that has begun and not yet written.
SELECT c.upto, c.locker_id, c.at, c.door,
       least(now() - make_interval(secs => %(lag_s)s), (
           SELECT min(a.xact_start) FROM pg_stat_activity a
           WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.backend_xid IS NOT NULL
             AND a.pid <> pg_backend_pid()
       )) AS horizon
FROM influx_cursor c
WHERE c.stream = %(stream)s

-- influx_cursor_advance --
-- Only from where it was believed to be: another hub may have moved it.
UPDATE influx_cursor SET upto = %(upto)s, locker_id = %(locker)s, at = %(at)s, door = %(door)s, moved_at = now()
WHERE stream = %(stream)s
  AND (upto, locker_id, at, door) = (%(was_upto)s, %(was_locker)s, %(was_at)s, %(was_door)s)

-- influx_cursors --
SELECT stream, upto, moved_at, extract(epoch FROM now() - upto)::float8 AS behind_s FROM influx_cursor ORDER BY stream

-- influx_reading --
-- What was stored soon after it was measured, which bounds the chunks and partitions to look into.
SELECT stored_at AS upto, locker_id AS locker, sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct,
       rssi_dbm, cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra
FROM reading
WHERE stored_at >= %(upto)s AND stored_at < %(until)s
  AND sampled_at >= %(upto)s::timestamptz - interval '2 days' AND sampled_at >= stored_at - interval '2 days'
  AND (stored_at, locker_id COLLATE "C", sampled_at) > (%(upto)s, %(locker)s COLLATE "C", %(at)s)
ORDER BY stored_at, locker_id COLLATE "C", sampled_at
LIMIT %(limit)s

-- influx_reading_late --
-- The others: of lockers that were away for long. Every chunk is asked, so this is done less often.
SELECT stored_at AS upto, locker_id AS locker, sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct,
       rssi_dbm, cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra
FROM reading
WHERE stored_at >= %(upto)s AND stored_at < %(until)s
  AND sampled_at < %(until)s::timestamptz - interval '2 days' AND sampled_at < stored_at - interval '2 days'
  AND (stored_at, locker_id COLLATE "C", sampled_at) > (%(upto)s, %(locker)s COLLATE "C", %(at)s)
ORDER BY stored_at, locker_id COLLATE "C", sampled_at
LIMIT %(limit)s

-- influx_rebuild_begin --
INSERT INTO influx_rebuild (stream, since, until, day) VALUES (%(stream)s, %(since)s, %(until)s, %(since)s)
ON CONFLICT (stream) DO UPDATE SET since = excluded.since, until = excluded.until, day = excluded.day,
    locker_id = '', lines = 0, started_at = now(), ended_at = NULL

-- influx_rebuilds --
SELECT stream, since, until, day, locker_id, lines, started_at, ended_at FROM influx_rebuild ORDER BY stream

-- influx_rebuild_advance --
UPDATE influx_rebuild SET day = %(day)s, locker_id = %(locker)s, lines = lines + %(lines)s::bigint,
    ended_at = CASE WHEN %(day)s::timestamptz >= until THEN now() END
WHERE stream = %(stream)s

-- influx_lockers_of_day --
SELECT DISTINCT locker_id COLLATE "C" AS locker FROM reading
WHERE sampled_at >= %(since)s AND sampled_at < %(until)s AND locker_id COLLATE "C" > %(after)s COLLATE "C"
ORDER BY 1

-- influx_readings_of_day --
SELECT locker_id AS locker, sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct,
       rssi_dbm, cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra
FROM reading
WHERE locker_id = %(locker)s AND sampled_at > %(after)s AND sampled_at < %(until)s
ORDER BY sampled_at
LIMIT %(limit)s

-- influx_door_hour --
-- Whether a door's content is known is left out: a field that becomes unknown again could not be taken back.
SELECT updated_at AS upto, locker_id AS locker, hour AS at, door, openings, closings, left_open, forced, put_in,
       collected, collect_timed, collect_seconds, collected_10m, collected_30m, collected_1h, collected_2h,
       collected_4h, collected_8h, collected_16h, collected_1d, collected_2d, collected_3d, collected_5d,
       collected_7d, collected_14d, collected_31d
FROM door_hour
WHERE updated_at >= %(upto)s AND updated_at < %(until)s
  AND (updated_at, locker_id COLLATE "C", hour, door) > (%(upto)s, %(locker)s COLLATE "C", %(at)s, %(door)s::smallint)
ORDER BY updated_at, locker_id COLLATE "C", hour, door
LIMIT %(limit)s

-- influx_door_lockers_of_day --
SELECT DISTINCT locker_id COLLATE "C" AS locker FROM door_hour
WHERE hour >= %(since)s AND hour < %(until)s AND locker_id COLLATE "C" > %(after)s COLLATE "C"
ORDER BY 1

-- influx_door_hours_of_day --
SELECT locker_id AS locker, hour AS at, door, openings, closings, left_open, forced, put_in,
       collected, collect_timed, collect_seconds, collected_10m, collected_30m, collected_1h, collected_2h,
       collected_4h, collected_8h, collected_16h, collected_1d, collected_2d, collected_3d, collected_5d,
       collected_7d, collected_14d, collected_31d
FROM door_hour
WHERE locker_id = %(locker)s AND (hour, door) > (%(after)s, %(door)s::smallint) AND hour < %(until)s
ORDER BY hour, door
LIMIT %(limit)s
