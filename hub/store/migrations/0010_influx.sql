-- How far the InfluxDB sink has come. It is a projection: everything in it can be sent again from the tables.

-- Everything that a stream holds up to this place, in the order of the rows' own stamps, was taken by the server.
CREATE TABLE influx_cursor (
    stream text PRIMARY KEY CHECK (stream IN ('reading', 'reading_late', 'door_hour')),
    -- The stamp of the last row (stored_at, updated_at), and which of those with the same stamp it was. An empty
    -- locker comes before every row.
    upto timestamptz NOT NULL,
    locker_id text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT '2000-01-01',
    door smallint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT now()
);

-- A span of time that is being sent again, or was the last one to be.
CREATE TABLE influx_rebuild (
    stream text PRIMARY KEY CHECK (stream IN ('reading', 'door_hour')),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    -- Every day before this one is done, and of this one every locker up to `locker_id`.
    day timestamptz NOT NULL,
    locker_id text NOT NULL DEFAULT '',
    lines bigint NOT NULL DEFAULT 0 CHECK (lines >= 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
