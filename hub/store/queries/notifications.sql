-- notification_put --
INSERT INTO notification (id, at, channel, alarm_id, transition, state, tries, error, message, updated_at)
VALUES (%(id)s, %(at)s, %(channel)s, %(alarm)s, %(transition)s, %(state)s, %(tries)s, %(error)s, %(message)s::json,
        %(updated_at)s)
ON CONFLICT (id) DO UPDATE
SET state = excluded.state, tries = excluded.tries, error = excluded.error, message = excluded.message,
    updated_at = excluded.updated_at

-- notifications_waiting --
SELECT message::text AS message, tries FROM notification
WHERE state = 'waiting' AND channel = ANY (%(channels)s)
ORDER BY at, id LIMIT %(limit)s

-- notifications_drop_waiting --
-- Another hub may have channels that this one has not.
UPDATE notification n SET state = 'dropped', error = %(error)s, message = NULL, updated_at = %(at)s
WHERE n.state = 'waiting' AND n.channel <> ALL (%(channels)s)
  AND NOT EXISTS (SELECT FROM notification_lease l WHERE l.channel = n.channel AND l.until > clock_timestamp())

-- notifications_last --
-- The newest success and the newest failure of a channel.
SELECT channel, max(updated_at) FILTER (WHERE state = 'sent') AS ok_at,
       (array_agg(error ORDER BY updated_at DESC) FILTER (WHERE state = 'failed'))[1] AS error,
       max(updated_at) FILTER (WHERE state = 'failed') AS error_at
FROM notification WHERE channel = ANY (%(channels)s) AND state IN ('sent', 'failed')
GROUP BY channel

-- notifications_page --
-- Newest first; the cursor is the last row's time and id.
SELECT id, at, channel, alarm_id AS alarm, transition, state, tries, error
FROM notification
WHERE (%(channel)s::text IS NULL OR channel = %(channel)s)
  AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s, %(before_id)s::uuid))
ORDER BY at DESC, id DESC LIMIT %(limit)s

-- notifications_prune --
DELETE FROM notification
WHERE state <> 'waiting' AND (at < %(before)s OR id IN (
    SELECT id FROM notification WHERE state <> 'waiting' ORDER BY at DESC, id DESC OFFSET %(kept_max)s))

-- notification_told_put --
INSERT INTO notification_told AS t (channel, alarm_id, transition, at)
SELECT %(channel)s, r.alarm_id, r.transition, %(at)s
FROM unnest(%(alarms)s::uuid[], %(transitions)s::text[]) AS r (alarm_id, transition) ORDER BY r.alarm_id
ON CONFLICT (channel, alarm_id) DO UPDATE SET transition = excluded.transition, at = excluded.at
WHERE t.at <= excluded.at

-- notifications_told --
-- What receivers know of alarms that are open, or that have closed and nobody has told them yet.
SELECT t.channel, t.alarm_id AS alarm, t.transition
FROM notification_told t LEFT JOIN alarm a ON a.id = t.alarm_id
WHERE t.channel = ANY (%(channels)s) AND (t.transition <> 'cleared' OR a.closed_at IS NULL)
ORDER BY t.at, t.alarm_id LIMIT %(limit)s

-- notifications_told_prune --
DELETE FROM notification_told t
WHERE t.at < %(before)s AND NOT EXISTS (SELECT FROM alarm a WHERE a.id = t.alarm_id AND a.closed_at IS NULL)

-- notification_lease_take --
-- Those that are free, over, or this hub's own already.
INSERT INTO notification_lease AS l (channel, hub, until)
SELECT c, %(hub)s, clock_timestamp() + make_interval(secs => %(ttl_s)s) FROM unnest(%(channels)s::text[]) c ORDER BY c
ON CONFLICT (channel) DO UPDATE SET hub = excluded.hub, until = excluded.until
WHERE l.hub = excluded.hub OR l.until < clock_timestamp()
RETURNING channel

-- notification_lease_release --
DELETE FROM notification_lease WHERE hub = %(hub)s
