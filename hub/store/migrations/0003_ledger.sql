-- One history: a ledger's chain, and where each of its numbers went, kept in the transaction that stores the rows.

ALTER TABLE ledger_cursor
    -- What the ledger contains before next_seq; null where nobody can say.
    ADD COLUMN chain text CHECK (chain ~ '^[0-9a-f]{16}$'),
    ADD COLUMN quarantined bigint NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    ADD COLUMN missing bigint NOT NULL DEFAULT 0 CHECK (missing >= 0);
-- Numbers are dense, so what was neither quarantined nor declared missing has to be in the table `event`.
ALTER TABLE ledger_cursor
    ADD COLUMN stored bigint GENERATED ALWAYS AS (next_seq - 1 - quarantined - missing) STORED;

-- `unknown`: the locker does not say.
ALTER TABLE ledger_gap ADD COLUMN reason text NOT NULL DEFAULT 'unknown' CHECK (length(reason) <= 200);

ALTER TABLE quarantine
    ADD COLUMN locker_id text,
    ADD COLUMN epoch uuid,
    -- The number of the one event that the row holds; the ledger has gone on behind it.
    ADD COLUMN seq bigint;
CREATE INDEX quarantine_ledger ON quarantine (locker_id, epoch, seq) WHERE epoch IS NOT NULL;

-- Until now a message of which the database refused a row was kept as one row of quarantine, without its numbers.
-- They are read from what was kept; of a payload that was cut they stay unknown, and `hub ledger verify` says so.
CREATE FUNCTION pg_temp.as_json(payload bytea) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN convert_from(payload, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes, locker_id, epoch, seq)
SELECT DISTINCT ON (c.locker_id, c.epoch, e.seq)
       q.received_at, q.topic, q.reason, q.detail, p.text, length(p.text), c.locker_id, c.epoch, e.seq
FROM quarantine q
CROSS JOIN LATERAL (SELECT pg_temp.as_json(q.payload) AS message) m
JOIN ledger_cursor c ON c.locker_id = split_part(q.topic, '/', 4) AND c.epoch::text = m.message ->> 'epoch'
CROSS JOIN LATERAL (
    SELECT (m.message ->> 'first')::bigint + o.place - 1 AS seq, o.event
    FROM jsonb_array_elements(m.message -> 'events') WITH ORDINALITY AS o (event, place)
) e
CROSS JOIN LATERAL (SELECT convert_to(e.event::text, 'UTF8') AS text) p
WHERE q.reason = 'rejected' AND q.topic LIKE 'lh/v1/%/events' AND e.seq < c.next_seq
  AND NOT EXISTS (
      SELECT FROM event v WHERE v.locker_id = c.locker_id AND v.epoch = c.epoch AND v.seq = e.seq
  )
ORDER BY c.locker_id, c.epoch, e.seq, q.id;

UPDATE ledger_cursor c SET
    quarantined = (SELECT count(*) FROM quarantine q
                   WHERE q.locker_id = c.locker_id AND q.epoch = c.epoch AND q.seq IS NOT NULL),
    missing = (SELECT coalesce(sum(g.to_seq - g.from_seq + 1), 0) FROM ledger_gap g
               WHERE g.locker_id = c.locker_id AND g.epoch = c.epoch);

-- What lockers had to give up, among all that they said.
CREATE INDEX event_outbox_gap ON event (locker_id, epoch) WHERE kind = 'outbox.gap';
