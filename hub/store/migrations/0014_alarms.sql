-- Alarms: one open alarm for each type and place, its journal, and the times in which nobody is to be told.

CREATE TABLE alarm (
    id uuid PRIMARY KEY,
    type text NOT NULL CHECK (type ~ '^[a-z_.]{1,48}$'),
    severity text NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    tenant_id text NOT NULL,
    -- Where it is, as of when it was raised. Without a locker it is of the site; without a site of the whole fleet.
    site text CHECK (length(site) <= 120),
    locker_id text,
    door smallint CHECK (door BETWEEN 1 AND 999),
    place text NOT NULL CHECK (length(place) <= 400),
    rule text NOT NULL CHECK (length(rule) <= 64),
    state text NOT NULL CHECK (state IN ('active_unacked', 'active_acked', 'cleared_unacked', 'normal')),
    opened_at timestamptz NOT NULL,
    began_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    cleared_at timestamptz,
    closed_at timestamptz,
    count integer NOT NULL CHECK (count >= 1),
    value double precision,
    limit_value double precision,
    unit text,
    acked_at timestamptz,
    -- Operators, by the names that they have at the hub, as in the audit. There is nobody else here.
    acked_by text CHECK (length(acked_by) BETWEEN 1 AND 64),
    ack_note text CHECK (length(ack_note) <= 200),
    shelved_by text CHECK (length(shelved_by) BETWEEN 1 AND 64),
    shelved_why text CHECK (length(shelved_why) <= 200),
    shelved_at timestamptz,
    shelved_until timestamptz,
    suppressed text CHECK (suppressed IN ('shelved', 'maintenance', 'out_of_service', 'folded')),
    parent_id uuid,
    -- The newest event of the locker's ledger that it was raised or cleared by: what comes again is known by it.
    epoch uuid,
    seq bigint,
    version integer NOT NULL DEFAULT 1,
    -- The process that wrote it last.
    hub uuid,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'normal') = (closed_at IS NOT NULL)),
    CHECK ((shelved_until IS NULL) = (shelved_by IS NULL)),
    CHECK (door IS NULL OR locker_id IS NOT NULL)
) WITH (fillfactor = 70);

-- Two hubs may see the same thing at the same time: this index decides whose alarm it is. Nothing is equal to nothing
-- here, so that there is one of a locker as a whole, and one of a site.
CREATE UNIQUE INDEX alarm_open ON alarm
    (tenant_id, locker_id, (CASE WHEN locker_id IS NULL THEN site END), door, type) NULLS NOT DISTINCT
    WHERE closed_at IS NULL;
CREATE INDEX alarm_newest ON alarm (raised_at DESC, id DESC);
CREATE INDEX alarm_locker ON alarm (locker_id, raised_at DESC);
CREATE INDEX alarm_closed ON alarm (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX alarm_updated ON alarm (updated_at);

-- Who did what, and what the hub saw. Without a name: the hub itself.
CREATE TABLE alarm_step (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    alarm_id uuid NOT NULL REFERENCES alarm ON DELETE CASCADE,
    at timestamptz NOT NULL,
    who text CHECK (length(who) BETWEEN 1 AND 64),
    what text NOT NULL CHECK (what ~ '^[a-z_]{1,32}$'),
    note text CHECK (length(note) <= 200),
    -- The alarm's state afterwards: what it was at any moment can be told.
    state text NOT NULL
);
CREATE INDEX alarm_step_alarm ON alarm_step (alarm_id, at, number);
CREATE INDEX alarm_step_raised ON alarm_step (at) WHERE what = 'raised';

CREATE TABLE maintenance (
    id uuid PRIMARY KEY,
    site text CHECK (length(site) BETWEEN 1 AND 120),
    locker_id text,
    door smallint CHECK (door BETWEEN 1 AND 999),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    why text NOT NULL CHECK (length(why) BETWEEN 1 AND 200),
    planned_by text NOT NULL CHECK (length(planned_by) BETWEEN 1 AND 64),
    planned_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text CHECK (length(ended_by) BETWEEN 1 AND 64),
    CHECK ((site IS NULL) <> (locker_id IS NULL)),
    CHECK (door IS NULL OR locker_id IS NOT NULL)
);
CREATE INDEX maintenance_newest ON maintenance (starts_at DESC, id DESC);

-- Up to when everything that was received has been judged, and what came of it is written here. A hub that starts
-- looks at what its predecessor stored after that.
CREATE TABLE alarm_judged (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    upto timestamptz NOT NULL
);
INSERT INTO alarm_judged (upto) VALUES (now());
