-- A door has one open transaction at the most, and a code is taken once.

-- Of several open ones the oldest keeps the door, for its things may lie there. The others stay open and have no door
-- until somebody gives them one: ending them would take their codes away without a word.
UPDATE transaction t SET door = NULL
WHERE t.state = 'open' AND t.door IS NOT NULL AND EXISTS (
    SELECT FROM transaction o
    WHERE o.state = 'open' AND o.locker_id = t.locker_id AND o.door = t.door
      AND (o.opened_at, o.id) < (t.opened_at, t.id)
);
CREATE UNIQUE INDEX transaction_holds_door ON transaction (locker_id, door) WHERE state = 'open' AND door IS NOT NULL;

ALTER TABLE access_code
    -- Null: nobody has come with it.
    ADD COLUMN taken_at timestamptz,
    -- Random, or made from the caller's Idempotency-Key: who comes with the same one again has the same answer. Of the
    -- person whose transaction it is.
    ADD COLUMN taken_as uuid,
    ADD CONSTRAINT access_code_taken CHECK ((taken_at IS NULL) = (taken_as IS NULL));
