-- Several hubs may share a database and have the same channels: of each channel exactly one sends.

-- Which process sends over a channel, and until when it may without asking again. Another takes it over afterwards.
CREATE TABLE notification_lease (
    channel text PRIMARY KEY CHECK (length(channel) BETWEEN 1 AND 32),
    hub uuid NOT NULL,
    until timestamptz NOT NULL
);

-- What the receiver of a channel knows of an alarm: the newest change that it took. About alarms only, of nobody.
CREATE TABLE notification_told (
    channel text NOT NULL CHECK (length(channel) BETWEEN 1 AND 32),
    alarm_id uuid NOT NULL,
    transition text NOT NULL CHECK (transition IN ('raised', 'cleared', 'acked')),
    at timestamptz NOT NULL,
    PRIMARY KEY (channel, alarm_id)
);

-- What was open before this table was there has been told.
INSERT INTO notification_told (channel, alarm_id, transition, at)
SELECT c.channel, a.id,
       CASE a.state WHEN 'active_acked' THEN 'acked' WHEN 'cleared_unacked' THEN 'cleared' ELSE 'raised' END, now()
FROM alarm a CROSS JOIN (SELECT DISTINCT channel FROM notification) c
WHERE a.closed_at IS NULL AND a.suppressed IS NULL;
