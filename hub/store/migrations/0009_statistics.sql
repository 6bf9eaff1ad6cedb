-- What doors did, an hour each. No person is in it, so it outlives the events that it was counted from.

CREATE TABLE door_hour (
    hour timestamptz NOT NULL CHECK (date_trunc('hour', hour, 'UTC') = hour),
    locker_id text NOT NULL,
    door smallint NOT NULL,
    openings integer NOT NULL,
    closings integer NOT NULL,
    left_open integer NOT NULL,
    -- Openings that no command asked for; they are among `openings` too.
    forced integer NOT NULL,
    -- What the item sensor saw: something put in, something taken out.
    put_in integer NOT NULL,
    collected integer NOT NULL,
    -- Of those taken out: how many whose putting in is known (31 days back), how long they lay there in whole
    -- seconds, and how many of them for how long, each column up to its name and above the one before.
    collect_timed integer NOT NULL,
    collect_seconds bigint NOT NULL,
    collected_10m integer NOT NULL,
    collected_30m integer NOT NULL,
    collected_1h integer NOT NULL,
    collected_2h integer NOT NULL,
    collected_4h integer NOT NULL,
    collected_8h integer NOT NULL,
    collected_16h integer NOT NULL,
    collected_1d integer NOT NULL,
    collected_2d integer NOT NULL,
    collected_3d integer NOT NULL,
    collected_5d integer NOT NULL,
    collected_7d integer NOT NULL,
    collected_14d integer NOT NULL,
    collected_31d integer NOT NULL,
    -- Null where the item sensor changed nothing within the hour: then it is as the newest row before leaves it.
    occupied_seconds integer,
    occupied_after boolean,
    -- How it was before its first change in the hour, as far as that is known from 31 days back.
    occupied_before boolean NOT NULL DEFAULT false,
    -- When the sensor changed last within the hour, and when last before its first change there, 31 days back: the
    -- same as the row before has as its `occupancy_at`, or one of the two is to be counted again.
    occupancy_at timestamptz,
    occupancy_before timestamptz,
    -- When the row last became another one. Rows are counted one transaction after the other, each stamped after the
    -- one before has committed: whoever follows this column in order misses nothing.
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (hour, locker_id, door),
    CHECK (num_nulls(occupied_seconds, occupied_after, occupancy_at) IN (0, 3)),
    CHECK (occupancy_before IS NULL OR occupancy_at IS NOT NULL)
);
CREATE INDEX door_hour_locker ON door_hour (locker_id, hour);
CREATE INDEX door_hour_updated ON door_hour (updated_at);

-- Hours to be counted. A mark is a row of its own, so that those who write events wait for nobody, and whoever counts
-- takes away only marks that it can see: what commits later has marks that are still there.
CREATE TABLE statistics_due (
    hour timestamptz NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (hour, id)
);
INSERT INTO statistics_due (hour) SELECT DISTINCT date_trunc('hour', occurred_at, 'UTC') FROM event;

-- The whole fleet's events by time: its newest, an hour of it, a page of an export.
CREATE INDEX event_time ON event (occurred_at);
-- Empty where transactions are not kept.
CREATE INDEX event_transaction ON event (transaction_id, occurred_at) WHERE transaction_id IS NOT NULL;
