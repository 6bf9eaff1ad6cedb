-- copy_reading --
COPY reading (sampled_at, received_at, locker_id, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm,
              cpu_temp_c, cpu_pct, memory_pct, disk_free_mb, outbox_events, board_errors, dropped, extra,
              time_source)
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

-- readings_at --
-- What is stored of some lockers at exactly these times, each value in the form and the place that it has in COPY
-- (hub.store.readings compares them). By the index; of very many rows of one moment, which only a locker that lies can
-- have, not all.
SELECT r.*
FROM unnest(%(lockers)s::text[], %(times)s::timestamptz[]) AS doubt (locker, at)
CROSS JOIN LATERAL (
    SELECT timestamptz_send(sampled_at) AS sampled_at, timestamptz_send(received_at) AS received_at,
           textsend(locker_id) AS locker_id, float4send(temperature_c) AS temperature_c,
           float4send(humidity_pct) AS humidity_pct, float4send(supply_v) AS supply_v,
           float4send(battery_pct) AS battery_pct, float4send(rssi_dbm) AS rssi_dbm,
           float4send(cpu_temp_c) AS cpu_temp_c, float4send(cpu_pct) AS cpu_pct, float4send(memory_pct) AS memory_pct,
           float4send(disk_free_mb) AS disk_free_mb, int4send(outbox_events) AS outbox_events,
           int4send(board_errors) AS board_errors, int4send(dropped) AS dropped, jsonb_send(extra) AS extra
    FROM reading
    WHERE locker_id = doubt.locker AND sampled_at = doubt.at
    LIMIT 1000
) r

-- plot_bounds --
-- How far back a locker's samples and hours go, and how far the hours can be taken for complete.
SELECT (SELECT min(sampled_at) FROM reading WHERE locker_id = %(locker)s) AS raw_from,
       (SELECT min(bucket) FROM reading_hour WHERE locker_id = %(locker)s) AS hours_from,
       least(followed_to, CASE WHEN fill_next <= fill_last THEN fill_next::timestamp AT TIME ZONE 'UTC' END)
           AS rolled_to
FROM reading_rollup

-- plot_raw --
SELECT sampled_at AS at, temperature_c, humidity_pct, supply_v, battery_pct, rssi_dbm, cpu_temp_c, cpu_pct,
       memory_pct, disk_free_mb, outbox_events, board_errors, dropped
FROM reading
WHERE locker_id = %(locker)s AND sampled_at >= %(since)s AND sampled_at < %(until)s
ORDER BY sampled_at
LIMIT %(limit)s

-- plot_buckets --
-- Days, then hours, then samples, each up to where the next takes over; averages weigh by how many values they are of.
SELECT date_bin(%(width)s::interval, piece_at, '2000-01-01 00:00+00') AS at, sum(samples)::bigint AS samples,
       min(temperature_c_min) AS temperature_c_min,
       sum(temperature_c_avg::float8 * temperature_c_count) / nullif(sum(temperature_c_count), 0) AS temperature_c_avg,
       max(temperature_c_max) AS temperature_c_max, min(humidity_pct_min) AS humidity_pct_min,
       sum(humidity_pct_avg::float8 * humidity_pct_count) / nullif(sum(humidity_pct_count), 0) AS humidity_pct_avg,
       max(humidity_pct_max) AS humidity_pct_max, min(supply_v_min) AS supply_v_min,
       sum(supply_v_avg::float8 * supply_v_count) / nullif(sum(supply_v_count), 0) AS supply_v_avg,
       max(supply_v_max) AS supply_v_max, min(battery_pct_min) AS battery_pct_min,
       sum(battery_pct_avg::float8 * battery_pct_count) / nullif(sum(battery_pct_count), 0) AS battery_pct_avg,
       max(battery_pct_max) AS battery_pct_max, min(rssi_dbm_min) AS rssi_dbm_min,
       sum(rssi_dbm_avg::float8 * rssi_dbm_count) / nullif(sum(rssi_dbm_count), 0) AS rssi_dbm_avg,
       max(rssi_dbm_max) AS rssi_dbm_max, min(cpu_temp_c_min) AS cpu_temp_c_min,
       sum(cpu_temp_c_avg::float8 * cpu_temp_c_count) / nullif(sum(cpu_temp_c_count), 0) AS cpu_temp_c_avg,
       max(cpu_temp_c_max) AS cpu_temp_c_max, min(cpu_pct_min) AS cpu_pct_min,
       sum(cpu_pct_avg::float8 * cpu_pct_count) / nullif(sum(cpu_pct_count), 0) AS cpu_pct_avg,
       max(cpu_pct_max) AS cpu_pct_max, min(memory_pct_min) AS memory_pct_min,
       sum(memory_pct_avg::float8 * memory_pct_count) / nullif(sum(memory_pct_count), 0) AS memory_pct_avg,
       max(memory_pct_max) AS memory_pct_max, min(disk_free_mb_min) AS disk_free_mb_min,
       max(outbox_events_max) AS outbox_events_max, max(board_errors_max) AS board_errors_max,
       max(dropped_max) AS dropped_max
FROM (
    SELECT bucket AS piece_at, samples,
           temperature_c_min, temperature_c_avg, temperature_c_max, temperature_c_count, humidity_pct_min,
           humidity_pct_avg, humidity_pct_max, humidity_pct_count, supply_v_min, supply_v_avg, supply_v_max,
           supply_v_count, battery_pct_min, battery_pct_avg, battery_pct_max, battery_pct_count, rssi_dbm_min,
           rssi_dbm_avg, rssi_dbm_max, rssi_dbm_count, cpu_temp_c_min, cpu_temp_c_avg, cpu_temp_c_max,
           cpu_temp_c_count, cpu_pct_min, cpu_pct_avg, cpu_pct_max, cpu_pct_count, memory_pct_min, memory_pct_avg,
           memory_pct_max, memory_pct_count, disk_free_mb_min, outbox_events_max, board_errors_max, dropped_max
    FROM reading_day
    WHERE locker_id = %(locker)s AND bucket >= %(since)s AND bucket < %(days_to)s
    UNION ALL
    SELECT bucket, samples,
           temperature_c_min, temperature_c_avg, temperature_c_max, temperature_c_count, humidity_pct_min,
           humidity_pct_avg, humidity_pct_max, humidity_pct_count, supply_v_min, supply_v_avg, supply_v_max,
           supply_v_count, battery_pct_min, battery_pct_avg, battery_pct_max, battery_pct_count, rssi_dbm_min,
           rssi_dbm_avg, rssi_dbm_max, rssi_dbm_count, cpu_temp_c_min, cpu_temp_c_avg, cpu_temp_c_max,
           cpu_temp_c_count, cpu_pct_min, cpu_pct_avg, cpu_pct_max, cpu_pct_count, memory_pct_min, memory_pct_avg,
           memory_pct_max, memory_pct_count, disk_free_mb_min, outbox_events_max, board_errors_max, dropped_max
    FROM reading_hour
    WHERE locker_id = %(locker)s AND bucket >= %(days_to)s AND bucket < %(hours_to)s
    UNION ALL
    SELECT date_bin(%(width)s::interval, sampled_at, '2000-01-01 00:00+00'), count(*),
           min(temperature_c), avg(temperature_c), max(temperature_c), count(temperature_c), min(humidity_pct),
           avg(humidity_pct), max(humidity_pct), count(humidity_pct), min(supply_v), avg(supply_v), max(supply_v),
           count(supply_v), min(battery_pct), avg(battery_pct), max(battery_pct), count(battery_pct),
           min(rssi_dbm), avg(rssi_dbm), max(rssi_dbm), count(rssi_dbm), min(cpu_temp_c), avg(cpu_temp_c),
           max(cpu_temp_c), count(cpu_temp_c), min(cpu_pct), avg(cpu_pct), max(cpu_pct), count(cpu_pct),
           min(memory_pct), avg(memory_pct), max(memory_pct), count(memory_pct), min(disk_free_mb),
           max(outbox_events), max(board_errors), max(dropped)
    FROM reading
    WHERE locker_id = %(locker)s AND sampled_at >= %(hours_to)s AND sampled_at < %(until)s
    GROUP BY 1
) piece
GROUP BY 1
ORDER BY 1
