-- events_of --
-- Newest first; the cursor is the last row's (occurred_at, epoch, seq).
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at, received_at, clock, actor_id AS actor,
       command_id AS command, transaction_id AS transaction, data
FROM event
WHERE locker_id = %(locker)s
  AND occurred_at >= %(since)s AND occurred_at < %(until)s
  AND (%(door)s::smallint IS NULL OR door = %(door)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(after_at)s::timestamptz IS NULL
       OR (occurred_at, epoch, seq) < (%(after_at)s, %(after_epoch)s::uuid, %(after_seq)s::bigint))
ORDER BY occurred_at DESC, epoch DESC, seq DESC
LIMIT %(limit)s

-- events_newest --
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at, received_at, clock, actor_id AS actor,
       command_id AS command, transaction_id AS transaction, data
FROM event
WHERE occurred_at >= now() - interval '1 day'
ORDER BY occurred_at DESC, epoch DESC, seq DESC
LIMIT %(limit)s
