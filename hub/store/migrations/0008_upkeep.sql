-- What the hub does of itself from time to time, a row a task: whichever hub did it, and whether it went well.
CREATE TABLE upkeep (
    task text PRIMARY KEY CHECK (task ~ '^[a-z_]{1,40}$'),
    -- When a hub first had this task: before its first success, lateness counts from here.
    known_at timestamptz NOT NULL DEFAULT now(),
    -- How often it is to be done, as the hub that looked last has it.
    every_s double precision NOT NULL CHECK (every_s > 0),
    -- The newest run. It has ended where ended_at is set, and failed where error is set as well.
    started_at timestamptz,
    ended_at timestamptz,
    succeeded_at timestamptz,
    error text,
    -- What the newest run that succeeded did.
    did jsonb
);
