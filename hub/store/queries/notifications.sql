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
UPDATE notification SET state = 'dropped', error = %(error)s, message = NULL, updated_at = %(at)s
WHERE state = 'waiting' AND channel <> ALL (%(channels)s)

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
