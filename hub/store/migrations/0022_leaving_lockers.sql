-- Lockers that are disabled for a while, and those that left for good.

ALTER TABLE locker
    ADD COLUMN disabled_at timestamptz,
    -- Of an operator, for operators.
    ADD COLUMN disabled_why text CHECK (length(disabled_why) BETWEEN 1 AND 200 AND disabled_why !~ '[[:cntrl:]]'),
    ADD CONSTRAINT locker_disabled CHECK ((disabled_at IS NULL) = (disabled_why IS NULL));

-- The ids of lockers that were removed: what they did is still stored under them, so no other locker has one by
-- accident, whoever inserts it.
CREATE TABLE locker_removed (
    id text PRIMARY KEY,
    removed_at timestamptz NOT NULL,
    -- An operator's name.
    removed_by text NOT NULL CHECK (length(removed_by) BETWEEN 1 AND 64)
);
CREATE FUNCTION locker_is_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM locker_removed WHERE id = new.id) THEN
        RAISE unique_violation USING MESSAGE = 'the locker was removed, and its history has this id',
                                     CONSTRAINT = 'locker_removed_pkey';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER locker_is_removed BEFORE INSERT ON locker FOR EACH ROW EXECUTE FUNCTION locker_is_removed();
