-- Commands that are kept until their locker has a last word; states that only go forward.

ALTER TABLE command
    ADD COLUMN class text NOT NULL DEFAULT 'instant' CHECK (class IN ('instant', 'durable')),
    ADD COLUMN args jsonb,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN cancel_requested boolean NOT NULL DEFAULT false,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT command_state CHECK (state IN ('queued', 'sent', 'accepted', 'timed_out', 'rejected', 'succeeded',
                                                  'failed', 'unknown', 'expired', 'cancelled')),
    ADD CONSTRAINT command_expires CHECK (class = 'instant' OR expires_at IS NOT NULL);

CREATE INDEX command_accepted ON command (accepted_at DESC, id DESC);
CREATE INDEX command_under_way ON command (accepted_at)
    WHERE state IN ('queued', 'sent', 'accepted', 'timed_out');
-- What the ledger says of one command: a few of a locker's events have one.
CREATE INDEX event_command ON event (command_id) WHERE command_id IS NOT NULL;

-- A command goes to a state of a higher rank only, so that writes may come in any order; the same in
-- hub/core/commands.py. Every way to have ended ranks the same: the first that is written stays.
CREATE FUNCTION command_rank(state text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE state WHEN 'queued' THEN 0 WHEN 'sent' THEN 1 WHEN 'accepted' THEN 2 WHEN 'timed_out' THEN 3 ELSE 4 END
$$;

CREATE FUNCTION outcome_rank(outcome text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE outcome WHEN 'closed' THEN 3 WHEN 'opened' THEN 2 WHEN 'open_not_detected' THEN 1 ELSE 0 END
$$;
