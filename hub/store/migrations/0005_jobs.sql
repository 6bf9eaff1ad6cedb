-- Jobs: one order for many targets. Each decision is committed here before it is acted upon.

CREATE TABLE job (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    args jsonb,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
    filter jsonb NOT NULL,
    request_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    -- Null: it needs no second person.
    approval_until timestamptz,
    decided_at timestamptz,
    decided_by text,
    -- Counted from when it begins to run.
    expires_s integer NOT NULL CHECK (expires_s > 0),
    expires_at timestamptz,
    rate_per_minute integer NOT NULL CHECK (rate_per_minute > 0),
    canaries integer NOT NULL CHECK (canaries >= 0),
    abort_share double precision NOT NULL CHECK (abort_share > 0 AND abort_share <= 1),
    abort_min_count integer NOT NULL CHECK (abort_min_count >= 1),
    targets integer NOT NULL CHECK (targets > 0),
    openings integer NOT NULL CHECK (openings BETWEEN 0 AND targets),
    state text NOT NULL CHECK (state IN ('waiting_approval', 'running', 'paused', 'done', 'aborted', 'cancelled',
                                         'rejected', 'expired')),
    why text,
    ended_at timestamptz
);
CREATE INDEX job_newest ON job (created_at DESC, id DESC);
CREATE INDEX job_active ON job (created_at) WHERE state IN ('waiting_approval', 'running', 'paused');
CREATE INDEX job_openings ON job (created_by, created_at) WHERE openings > 0 AND approval_until IS NULL;

-- The command's id is made with the row, so a hub that is started again cannot send a second one.
CREATE TABLE job_target (
    job_id uuid NOT NULL REFERENCES job ON DELETE CASCADE,
    place integer NOT NULL CHECK (place >= 0),
    locker_id text NOT NULL,
    door smallint,
    command_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'skipped', 'succeeded', 'rejected',
                                                           'failed', 'unknown', 'timed_out', 'cancelled')),
    why text,
    sent_at timestamptz,
    settled_at timestamptz,
    PRIMARY KEY (job_id, place)
) WITH (fillfactor = 80);
CREATE INDEX job_target_state ON job_target (job_id, state, place);
CREATE INDEX job_target_in_flight ON job_target (job_id) WHERE state = 'sent';
CREATE INDEX job_target_sent ON job_target (sent_at) WHERE sent_at IS NOT NULL;

-- Who did what about a job. No operator: the hub itself.
CREATE TABLE job_step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES job ON DELETE CASCADE,
    at timestamptz NOT NULL,
    operator text,
    state text NOT NULL,
    detail text
);
CREATE INDEX job_step_job ON job_step (job_id, id);

-- One hub at a time runs the jobs. It shows this row in every transaction in which it decides something.
CREATE TABLE job_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    hub uuid,
    until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO job_lease DEFAULT VALUES;
