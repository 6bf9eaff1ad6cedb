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

-- events_page --
-- Newest first, of one locker, of some, or of all. Planned anew each time: what is not asked for then falls away, and
-- with the times known only the chunks and partitions between them take part.
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at, received_at, clock, actor_id AS actor,
       command_id AS command, transaction_id AS transaction, data
FROM event
WHERE occurred_at >= %(since)s AND occurred_at < %(until)s
  AND (%(locker)s::text IS NULL OR locker_id = %(locker)s)
  AND (%(lockers)s::text[] IS NULL OR locker_id = ANY (%(lockers)s::text[]))
  AND (%(door)s::smallint IS NULL OR door = %(door)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(actor)s::uuid IS NULL OR actor_id = %(actor)s)
  AND (%(command)s::uuid IS NULL OR command_id = %(command)s)
  AND (%(transaction)s::uuid IS NULL OR transaction_id = %(transaction)s)
  AND (%(after_at)s::timestamptz IS NULL
       OR (occurred_at, locker_id, epoch, seq)
          < (%(after_at)s, %(after_locker)s, %(after_epoch)s::uuid, %(after_seq)s::bigint))
ORDER BY occurred_at DESC, locker_id DESC, epoch DESC, seq DESC
LIMIT %(limit)s

-- quarantine_page --
-- What was not acceptable, without what it was: that may be anything. Newest first.
SELECT id, received_at, topic, reason, detail, payload_bytes, locker_id AS locker, epoch, seq
FROM quarantine
WHERE received_at >= %(since)s AND received_at < %(until)s
  AND (%(locker)s::text IS NULL OR locker_id = %(locker)s)
  AND (%(after_at)s::timestamptz IS NULL OR (received_at, id) < (%(after_at)s, %(after_id)s::bigint))
ORDER BY received_at DESC, id DESC
LIMIT %(limit)s
