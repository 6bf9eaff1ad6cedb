-- statistics_mark --
INSERT INTO statistics_due (hour) SELECT unnest(%(hours)s::timestamptz[])

-- statistics_due --
SELECT hour, count(*) OVER () AS hours FROM (SELECT DISTINCT hour FROM statistics_due) marked
ORDER BY hour DESC LIMIT %(hours_max)s

-- statistics_unmark --
DELETE FROM statistics_due WHERE hour >= %(since)s AND hour < %(until)s

-- statistics_alone --
SELECT pg_advisory_xact_lock(hashtext('lockerhub statistics'), 0)

-- statistics_patience --
SELECT set_config('statement_timeout', %(timeout)s, true)

-- statistics_sweep --
DELETE FROM door_hour
WHERE updated_at < %(before)s
  AND openings = 0 AND closings = 0 AND left_open = 0 AND forced = 0 AND put_in = 0 AND collected = 0

-- statistics_stale --
-- The hours behind a window that say of a sensor's last change before them what the window does not say, or not any
-- more: it was counted after them, and has other events than it had then.
SELECT DISTINCT n.locker_id AS locker, n.hour
FROM (
    SELECT DISTINCT ON (locker_id, door) locker_id, door, hour, occupancy_before
    FROM door_hour
    WHERE hour >= %(until)s AND hour <= %(ahead)s AND occupancy_at IS NOT NULL
      AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
    ORDER BY locker_id, door, hour
) n
LEFT JOIN (
    SELECT locker_id, door, max(occupancy_at) AS at
    FROM door_hour
    WHERE hour >= %(since)s AND hour < %(until)s
      AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
    GROUP BY locker_id, door
) last USING (locker_id, door)
WHERE CASE WHEN last.at IS NULL THEN n.occupancy_before >= %(since)s
           ELSE last.at >= n.hour - %(look_back)s::interval AND n.occupancy_before IS DISTINCT FROM last.at END

-- statistics_count --
-- Counts a window of whole hours from its events, and writes the rows that are not as they were. A row whose events
-- are all gone is left with nothing counted, for those who follow the table.
WITH told AS MATERIALIZED (
    SELECT locker_id, door, kind, occurred_at, epoch, seq, date_trunc('hour', occurred_at, 'UTC') AS hour,
           CASE WHEN kind = 'occupancy.changed' THEN CASE data -> 'occupied' WHEN 'true' THEN true
                                                                            WHEN 'false' THEN false END
           END AS occupied
    FROM event
    WHERE occurred_at >= %(since)s AND occurred_at < %(until)s
      AND kind IN ('door.opened', 'door.closed', 'door.left_open', 'door.forced', 'occupancy.changed')
      AND door IS NOT NULL
      AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
), edge AS (
    SELECT locker_id, door, hour, occurred_at, occupied,
           lag(occurred_at) OVER w AS before_at, lag(occupied) OVER w AS before_occupied,
           lead(hour) OVER w IS DISTINCT FROM hour AS last_of_hour, lag(hour) OVER w IS DISTINCT FROM hour AS first
    FROM told
    WHERE occupied IS NOT NULL
    WINDOW w AS (PARTITION BY locker_id, door ORDER BY occurred_at, epoch, seq)
), stay AS (
-- Each change of an item sensor with the one before it, which may be before the window, and is not too far back.
    SELECT edge.locker_id, edge.door, edge.hour, edge.occurred_at, edge.occupied, edge.last_of_hour, edge.first,
           CASE WHEN edge.before_at >= edge.occurred_at - %(look_back)s::interval THEN edge.before_at
                ELSE b.occurred_at END AS since,
           CASE WHEN edge.before_at >= edge.occurred_at - %(look_back)s::interval THEN edge.before_occupied
                ELSE coalesce(b.occupied, false) END AS lay
    FROM edge
    LEFT JOIN LATERAL (
        SELECT e.occurred_at, e.data -> 'occupied' = 'true' AS occupied
        FROM event e
        WHERE e.locker_id = edge.locker_id AND e.door = edge.door AND e.kind = 'occupancy.changed'
          AND e.data -> 'occupied' IN ('true', 'false')
          AND e.occurred_at >= %(back)s AND e.occurred_at < %(since)s
          AND e.occurred_at >= edge.occurred_at - %(look_back)s::interval
        ORDER BY e.occurred_at DESC, e.epoch DESC, e.seq DESC
        LIMIT 1
    ) b ON edge.before_at IS NULL
), timed AS (
    SELECT locker_id, door, hour, occurred_at, occupied, last_of_hour, first, since, lay,
           CASE WHEN lay AND NOT occupied THEN round(extract(epoch FROM occurred_at - since))::bigint END AS lay_s
    FROM stay
), items AS (
    SELECT hour, locker_id, door,
           count(*) FILTER (WHERE occupied) AS put_in,
           count(*) FILTER (WHERE NOT occupied) AS collected,
           count(lay_s) AS collect_timed,
           coalesce(sum(lay_s), 0) AS collect_seconds,
           count(*) FILTER (WHERE lay_s <= 600) AS m10,
           count(*) FILTER (WHERE lay_s > 600 AND lay_s <= 1800) AS m30,
           count(*) FILTER (WHERE lay_s > 1800 AND lay_s <= 3600) AS h1,
           count(*) FILTER (WHERE lay_s > 3600 AND lay_s <= 7200) AS h2,
           count(*) FILTER (WHERE lay_s > 7200 AND lay_s <= 14400) AS h4,
           count(*) FILTER (WHERE lay_s > 14400 AND lay_s <= 28800) AS h8,
           count(*) FILTER (WHERE lay_s > 28800 AND lay_s <= 57600) AS h16,
           count(*) FILTER (WHERE lay_s > 57600 AND lay_s <= 86400) AS d1,
           count(*) FILTER (WHERE lay_s > 86400 AND lay_s <= 172800) AS d2,
           count(*) FILTER (WHERE lay_s > 172800 AND lay_s <= 259200) AS d3,
           count(*) FILTER (WHERE lay_s > 259200 AND lay_s <= 432000) AS d5,
           count(*) FILTER (WHERE lay_s > 432000 AND lay_s <= 604800) AS d7,
           count(*) FILTER (WHERE lay_s > 604800 AND lay_s <= 1209600) AS d14,
           count(*) FILTER (WHERE lay_s > 1209600) AS d31,
           round(extract(epoch FROM
               coalesce(sum(occurred_at - greatest(since, hour)) FILTER (WHERE lay), interval '0')
               + coalesce(sum(hour + interval '1 hour' - occurred_at) FILTER (WHERE last_of_hour AND occupied),
                          interval '0'))) AS occupied_seconds,
           bool_or(occupied) FILTER (WHERE last_of_hour) AS occupied_after,
           bool_or(lay) FILTER (WHERE first) AS occupied_before,
           max(occurred_at) AS occupancy_at,
           max(since) FILTER (WHERE first) AS occupancy_before
    FROM timed
    GROUP BY hour, locker_id, door
), doors AS (
    SELECT hour, locker_id, door,
           count(*) FILTER (WHERE kind = 'door.opened') AS openings,
           count(*) FILTER (WHERE kind = 'door.closed') AS closings,
           count(*) FILTER (WHERE kind = 'door.left_open') AS left_open,
           count(*) FILTER (WHERE kind = 'door.forced') AS forced
    FROM told
    GROUP BY hour, locker_id, door
    UNION ALL
    SELECT h.hour, h.locker_id, h.door, 0, 0, 0, 0
    FROM door_hour h
    WHERE h.hour >= %(since)s AND h.hour < %(until)s
      AND (%(lockers)s::text[] IS NULL OR h.locker_id = ANY (%(lockers)s::text[]))
      AND NOT EXISTS (SELECT FROM told t WHERE t.hour = h.hour AND t.locker_id = h.locker_id AND t.door = h.door)
)
INSERT INTO door_hour AS was (
    hour, locker_id, door, openings, closings, left_open, forced, put_in, collected, collect_timed, collect_seconds,
    collected_10m, collected_30m, collected_1h, collected_2h, collected_4h, collected_8h, collected_16h, collected_1d,
    collected_2d, collected_3d, collected_5d, collected_7d, collected_14d, collected_31d, occupied_seconds,
    occupied_after, occupied_before, occupancy_at, occupancy_before, updated_at
)
SELECT hour, locker_id, door, openings, closings, left_open, forced,
       coalesce(put_in, 0), coalesce(collected, 0), coalesce(collect_timed, 0), coalesce(collect_seconds, 0),
       coalesce(m10, 0), coalesce(m30, 0), coalesce(h1, 0), coalesce(h2, 0), coalesce(h4, 0), coalesce(h8, 0),
       coalesce(h16, 0), coalesce(d1, 0), coalesce(d2, 0), coalesce(d3, 0), coalesce(d5, 0), coalesce(d7, 0),
       coalesce(d14, 0), coalesce(d31, 0), occupied_seconds, occupied_after,
       coalesce(occupied_before, false), occupancy_at, occupancy_before, statement_timestamp()
FROM doors LEFT JOIN items USING (hour, locker_id, door)
ON CONFLICT (hour, locker_id, door) DO UPDATE SET
    openings = excluded.openings, closings = excluded.closings, left_open = excluded.left_open,
    forced = excluded.forced, put_in = excluded.put_in, collected = excluded.collected,
    collect_timed = excluded.collect_timed, collect_seconds = excluded.collect_seconds,
    collected_10m = excluded.collected_10m, collected_30m = excluded.collected_30m,
    collected_1h = excluded.collected_1h, collected_2h = excluded.collected_2h,
    collected_4h = excluded.collected_4h, collected_8h = excluded.collected_8h,
    collected_16h = excluded.collected_16h, collected_1d = excluded.collected_1d,
    collected_2d = excluded.collected_2d, collected_3d = excluded.collected_3d,
    collected_5d = excluded.collected_5d, collected_7d = excluded.collected_7d,
    collected_14d = excluded.collected_14d, collected_31d = excluded.collected_31d,
    occupied_seconds = excluded.occupied_seconds, occupied_after = excluded.occupied_after,
    occupied_before = excluded.occupied_before, occupancy_at = excluded.occupancy_at,
    occupancy_before = excluded.occupancy_before,
    updated_at = excluded.updated_at
WHERE (was.openings, was.closings, was.left_open, was.forced, was.put_in, was.collected, was.collect_timed,
       was.collect_seconds, was.collected_10m, was.collected_30m, was.collected_1h, was.collected_2h,
       was.collected_4h, was.collected_8h, was.collected_16h, was.collected_1d, was.collected_2d, was.collected_3d,
       was.collected_5d, was.collected_7d, was.collected_14d, was.collected_31d, was.occupied_seconds,
       was.occupied_after, was.occupied_before, was.occupancy_at, was.occupancy_before)
   IS DISTINCT FROM
      (excluded.openings, excluded.closings, excluded.left_open, excluded.forced, excluded.put_in,
       excluded.collected, excluded.collect_timed, excluded.collect_seconds, excluded.collected_10m,
       excluded.collected_30m, excluded.collected_1h, excluded.collected_2h, excluded.collected_4h,
       excluded.collected_8h, excluded.collected_16h, excluded.collected_1d, excluded.collected_2d,
       excluded.collected_3d, excluded.collected_5d, excluded.collected_7d, excluded.collected_14d,
       excluded.collected_31d, excluded.occupied_seconds, excluded.occupied_after, excluded.occupied_before, excluded.occupancy_at,
       excluded.occupancy_before)

-- statistics_totals --
-- By bucket, by hour of the day and by the size of the door, and all together: `part` says which. An hour is its own
-- bucket whatever the clocks show: the one that they show twice in autumn is two. Longer buckets begin with the first
-- moment of their first day, which the second before finds also where midnight comes twice, or not at all.
WITH counted AS MATERIALIZED (
    SELECT h.hour, d.size, sum(openings) AS openings, sum(closings) AS closings, sum(left_open) AS left_open,
           sum(forced) AS forced, sum(put_in) AS put_in, sum(collected) AS collected
    FROM door_hour h LEFT JOIN door d ON d.locker_id = h.locker_id AND d.number = h.door
    WHERE h.hour >= %(since)s AND h.hour < %(until)s
      AND (%(lockers)s::text[] IS NULL OR h.locker_id = ANY (%(lockers)s::text[]))
    GROUP BY h.hour, d.size
)
SELECT CASE grouping(bucket, hour_of_day, size) WHEN 3 THEN 'bucket' WHEN 5 THEN 'hour_of_day' WHEN 6 THEN 'size'
            ELSE 'all' END AS part,
       bucket, hour_of_day, size, sum(openings)::bigint AS openings,
       sum(closings)::bigint AS closings, sum(left_open)::bigint AS left_open, sum(forced)::bigint AS forced,
       sum(put_in)::bigint AS put_in, sum(collected)::bigint AS collected
FROM (
    SELECT CASE WHEN %(bucket)s = 'hour' THEN hour
                ELSE (date_trunc(%(bucket)s, hour AT TIME ZONE %(zone)s) - interval '1 second') AT TIME ZONE %(zone)s
                     + interval '1 second' END AS bucket,
           extract(hour FROM hour AT TIME ZONE %(zone)s)::int AS hour_of_day, counted.*
    FROM counted
) placed
GROUP BY GROUPING SETS ((bucket), (hour_of_day), (size), ())
ORDER BY part, bucket, hour_of_day, size

-- statistics_collected --
-- How long items lay there, by the size of the door; null: a door that is no longer in the registry.
SELECT d.size, sum(collect_timed) AS collect_timed, sum(collect_seconds)::bigint AS collect_seconds,
       sum(collected_10m) AS collected_10m, sum(collected_30m) AS collected_30m, sum(collected_1h) AS collected_1h,
       sum(collected_2h) AS collected_2h, sum(collected_4h) AS collected_4h, sum(collected_8h) AS collected_8h,
       sum(collected_16h) AS collected_16h, sum(collected_1d) AS collected_1d, sum(collected_2d) AS collected_2d,
       sum(collected_3d) AS collected_3d, sum(collected_5d) AS collected_5d, sum(collected_7d) AS collected_7d,
       sum(collected_14d) AS collected_14d, sum(collected_31d) AS collected_31d
FROM door_hour h LEFT JOIN door d ON d.locker_id = h.locker_id AND d.number = h.door
WHERE h.hour >= %(since)s AND h.hour < %(until)s AND collect_timed > 0
  AND (%(lockers)s::text[] IS NULL OR h.locker_id = ANY (%(lockers)s::text[]))
GROUP BY d.size

-- statistics_occupied --
-- For how long doors of each size were occupied, in a span of at most the look back. Every row adds the seconds of its
-- hour and, if it leaves the door occupied, those up to the span's end; and takes away what the row before it has added
-- from there on. The first row of a door has none before it in the span; a door without any is as it was left before.
-- A locker counts from its first change on; doors of those without any are counted apart.
WITH door_of_span AS (
    SELECT locker_id, door, min(hour) AS first,
           coalesce(sum(occupied_seconds
               + CASE WHEN occupied_after THEN extract(epoch FROM %(until)s::timestamptz - hour)::bigint - 3600 ELSE 0 END
               - CASE WHEN NOT occupied_before THEN 0
                      WHEN occupancy_before < %(since)s THEN extract(epoch FROM %(since)s::timestamptz - hour)::bigint
                      ELSE extract(epoch FROM %(until)s::timestamptz - hour)::bigint END
           ) FILTER (WHERE hour >= %(since)s), CASE
               WHEN max(hour) FILTER (WHERE occupied_after) = max(hour) THEN greatest(extract(epoch FROM
                   least(%(until)s::timestamptz, max(hour) + interval '1 hour' + %(look_back)s::interval) - %(since)s::timestamptz), 0)
               ELSE 0 END) AS seconds
    FROM door_hour
    WHERE hour >= %(back)s AND hour < %(until)s AND occupied_after IS NOT NULL
      AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
    GROUP BY locker_id, door
), sensing AS (
    SELECT locker_id, greatest(min(first), %(since)s::timestamptz) AS since FROM door_of_span GROUP BY locker_id
)
SELECT d.size, count(*) AS doors, count(s.locker_id) AS doors_known,
       coalesce(sum(o.seconds), 0)::float8 AS occupied_s,
       coalesce(sum(extract(epoch FROM %(until)s::timestamptz - s.since)), 0)::float8 AS known_s
FROM door d
LEFT JOIN door_of_span o ON o.locker_id = d.locker_id AND o.door = d.number
LEFT JOIN sensing s ON s.locker_id = d.locker_id
WHERE %(lockers)s::text[] IS NULL OR d.locker_id = ANY (%(lockers)s::text[])
GROUP BY d.size

-- door_hours_page --
-- The counts as they are, oldest first; rows that count nothing are left out.
SELECT hour, locker_id AS locker, door, openings, closings, left_open, forced, put_in, collected, collect_timed, collect_seconds,
       collected_10m, collected_30m, collected_1h, collected_2h, collected_4h, collected_8h, collected_16h,
       collected_1d, collected_2d, collected_3d, collected_5d, collected_7d, collected_14d, collected_31d,
       occupied_seconds, occupied_after
FROM door_hour
WHERE hour >= %(since)s AND hour < %(until)s
  AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
  AND openings + closings + left_open + forced + put_in + collected > 0
  AND (%(after_hour)s::timestamptz IS NULL
       OR (hour, locker_id, door) > (%(after_hour)s, %(after_locker)s, %(after_door)s::smallint))
ORDER BY hour, locker_id, door
LIMIT %(limit)s
