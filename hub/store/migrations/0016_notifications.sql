-- What was told, to whom, and what became of it. Bounded: upkeep deletes what is old or too much.

CREATE TABLE notification (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    channel text NOT NULL CHECK (length(channel) BETWEEN 1 AND 32),
    -- Null: a digest, or a test.
    alarm_id uuid,
    transition text NOT NULL CHECK (transition IN ('raised', 'cleared', 'acked', 'digest', 'test')),
    state text NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'dropped')),
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- What the newest try came to, where it was not sent.
    error text CHECK (length(error) <= 300),
    -- What is to be told, while it waits: a restart goes on with it.
    message json,
    updated_at timestamptz NOT NULL,
    CHECK ((state = 'waiting') = (message IS NOT NULL))
);
CREATE INDEX notification_page ON notification (at DESC, id DESC);
CREATE INDEX notification_waiting ON notification (channel, at) WHERE state = 'waiting';
CREATE INDEX notification_newest ON notification (channel, updated_at DESC) WHERE state <> 'waiting';
