-- alarms_open --
SELECT * FROM alarm WHERE closed_at IS NULL ORDER BY raised_at, id

-- alarms_just_closed --
-- What may be told once more by a locker whose events were not confirmed.
SELECT * FROM alarm WHERE closed_at > %(since)s AND epoch IS NOT NULL ORDER BY updated_at

-- alarms_insert --
INSERT INTO alarm SELECT r.* FROM jsonb_populate_recordset(NULL::alarm, %(rows)s::jsonb) r
ON CONFLICT DO NOTHING RETURNING id, version

-- alarms_update --
UPDATE alarm a SET
    severity = r.severity, site = r.site, place = r.place, rule = r.rule, state = r.state, opened_at = r.opened_at,
    began_at = r.began_at, raised_at = r.raised_at, last_at = r.last_at, cleared_at = r.cleared_at,
    closed_at = r.closed_at, count = r.count, value = r.value, limit_value = r.limit_value, unit = r.unit,
    acked_at = r.acked_at, acked_by = r.acked_by, ack_note = r.ack_note, shelved_by = r.shelved_by,
    shelved_why = r.shelved_why, shelved_at = r.shelved_at, shelved_until = r.shelved_until,
    suppressed = r.suppressed, parent_id = r.parent_id, epoch = r.epoch, seq = r.seq, version = a.version + 1,
    hub = r.hub, updated_at = clock_timestamp()
FROM jsonb_populate_recordset(NULL::alarm, %(rows)s::jsonb) r
WHERE a.id = r.id AND a.version = r.version
RETURNING a.id, a.version

-- alarm_steps_add --
INSERT INTO alarm_step (id, alarm_id, at, who, what, note, state)
SELECT r.id, r.alarm_id, r.at, r.who, r.what, r.note, r.state
FROM jsonb_to_recordset(%(rows)s::jsonb)
     AS r (id uuid, alarm_id uuid, at timestamptz, who text, what text, note text, state text)
ON CONFLICT (id) DO NOTHING

-- alarms_by_id --
SELECT * FROM alarm WHERE id = ANY (%(ids)s::uuid[])

-- alarms_by_id_locked --
SELECT * FROM alarm WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR UPDATE

-- alarm_open_at --
SELECT * FROM alarm
WHERE closed_at IS NULL AND tenant_id = %(tenant)s AND locker_id IS NOT DISTINCT FROM %(locker)s::text
  AND door IS NOT DISTINCT FROM %(door)s::smallint AND sensor IS NOT DISTINCT FROM %(sensor)s::text
  AND type = %(type)s
  AND (%(locker)s::text IS NOT NULL OR site IS NOT DISTINCT FROM %(site)s::text)

-- alarms_by_others --
-- With some seconds before what was seen last: a transaction may be committed after one that began later.
SELECT * FROM alarm
WHERE updated_at > %(since)s::timestamptz - interval '15 seconds' AND hub IS DISTINCT FROM %(hub)s
ORDER BY updated_at LIMIT %(limit)s

-- alarms_take_up --
-- What a command line did is told by one hub: the first that puts its name to the row.
UPDATE alarm a SET hub = %(hub)s
FROM unnest(%(ids)s::uuid[], %(versions)s::integer[]) AS r (id, version)
WHERE a.id = r.id AND a.version = r.version AND a.hub IS NULL
RETURNING a.id

-- alarms_now --
SELECT clock_timestamp() AS now

-- alarm_steps --
SELECT at, who, what, note FROM alarm_step WHERE alarm_id = %(id)s ORDER BY at DESC, number DESC LIMIT %(limit)s

-- alarms_page --
-- Those that are closed, or all of them, newest raised first.
SELECT a.*
FROM alarm a
WHERE (NOT %(closed)s OR a.closed_at IS NOT NULL)
  AND (%(states)s::text[] IS NULL OR a.state = ANY (%(states)s))
  AND (%(severities)s::text[] IS NULL OR a.severity = ANY (%(severities)s))
  AND (%(types)s::text[] IS NULL OR a.type = ANY (%(types)s))
  AND (%(site)s::text IS NULL OR a.site = %(site)s)
  AND (%(locker)s::text IS NULL OR a.locker_id = %(locker)s)
  AND (%(door)s::smallint IS NULL OR a.door = %(door)s)
  AND (%(suppressed)s::text IS NULL OR coalesce(a.suppressed, 'none') = %(suppressed)s
       OR (%(suppressed)s = 'any' AND a.suppressed IS NOT NULL))
  AND (%(pattern)s::text IS NULL OR a.place ILIKE %(pattern)s OR a.type ILIKE %(pattern)s)
  AND (%(since)s::timestamptz IS NULL OR a.raised_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR a.raised_at < %(until)s)
  AND (%(after_at)s::timestamptz IS NULL OR (a.raised_at, a.id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY a.raised_at DESC, a.id DESC LIMIT %(limit)s

-- alarms_page_at --
-- Those that were open at a moment, in the state that they had then and newest raised first as of then: what happens
-- to them between two pages changes neither which there are nor their order.
SELECT a.id, a.type, a.severity, a.tenant_id, a.site, a.locker_id, a.door, a.sensor, a.place, a.rule,
       coalesce(s.state, a.state) AS state, a.opened_at, a.began_at, r.at AS raised_at, a.last_at, a.cleared_at,
       a.closed_at, a.count, a.value, a.limit_value, a.unit, a.acked_at, a.acked_by, a.ack_note, a.shelved_by,
       a.shelved_why, a.shelved_at, a.shelved_until, a.suppressed, a.parent_id, a.epoch, a.seq, a.version
FROM alarm a
LEFT JOIN LATERAL (
    SELECT t.state FROM alarm_step t WHERE t.alarm_id = a.id AND t.at <= %(at)s::timestamptz
    ORDER BY t.at DESC, t.number DESC LIMIT 1
) s ON true
CROSS JOIN LATERAL (
    SELECT greatest(a.opened_at, max(t.at)) AS at FROM alarm_step t
    WHERE t.alarm_id = a.id AND t.at <= %(at)s::timestamptz AND t.what = 'raised'
) r
WHERE a.opened_at <= %(at)s::timestamptz AND (a.closed_at IS NULL OR a.closed_at > %(at)s)
  AND (%(states)s::text[] IS NULL OR coalesce(s.state, a.state) = ANY (%(states)s))
  AND (%(severities)s::text[] IS NULL OR a.severity = ANY (%(severities)s))
  AND (%(types)s::text[] IS NULL OR a.type = ANY (%(types)s))
  AND (%(site)s::text IS NULL OR a.site = %(site)s)
  AND (%(locker)s::text IS NULL OR a.locker_id = %(locker)s)
  AND (%(door)s::smallint IS NULL OR a.door = %(door)s)
  AND (%(suppressed)s::text IS NULL OR coalesce(a.suppressed, 'none') = %(suppressed)s
       OR (%(suppressed)s = 'any' AND a.suppressed IS NOT NULL))
  AND (%(pattern)s::text IS NULL OR a.place ILIKE %(pattern)s OR a.type ILIKE %(pattern)s)
  AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s)
  AND (%(after_at)s::timestamptz IS NULL OR (r.at, a.id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY r.at DESC, a.id DESC LIMIT %(limit)s

-- alarms_raised_past --
-- What people saw raised, for the health of the alarms: a day by ten minutes, and before that by days.
SELECT date_bin(CASE WHEN s.at >= %(day)s THEN interval '10 minutes' ELSE interval '1 day' END, s.at,
                timestamptz '2000-01-01 00:00+00') AS at,
       a.severity, a.type, a.locker_id AS locker, a.door, count(*) AS count
FROM alarm_step s JOIN alarm a ON a.id = s.alarm_id
WHERE s.what = 'raised' AND s.at >= %(since)s AND (a.suppressed IS NULL OR a.suppressed = 'shelved')
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 LIMIT %(limit)s

-- alarms_events_since --
-- Events that a hub has stored, and may not have lived to raise alarms for. Of each ledger in its order; a page of them,
-- behind the last row of the page before. Those of a kind that is counted or timed for longer go further back.
SELECT locker_id AS locker, epoch, seq, kind, door, occurred_at AS at, data, received_at,
       coalesce(command_id IN (SELECT t.command_id FROM job_target t
                               WHERE t.sent_at > %(earliest)s::timestamptz - interval '1 hour'), false) AS of_job
FROM event
WHERE received_at > %(earliest)s AND occurred_at > %(earliest)s::timestamptz - interval '1 hour'
  AND ((kind = ANY (%(kinds)s::text[]) AND received_at > %(since)s) OR kind = ANY (%(timed)s::text[]))
  AND (%(after_at)s::timestamptz IS NULL
       OR (received_at, locker_id, epoch, seq) > (%(after_at)s, %(after_locker)s, %(after_epoch)s, %(after_seq)s))
ORDER BY received_at, locker_id, epoch, seq LIMIT %(limit)s

-- alarms_judged --
SELECT upto FROM alarm_judged

-- alarms_judge --
UPDATE alarm_judged SET upto = %(upto)s WHERE upto < %(upto)s

-- maintenance_add --
INSERT INTO maintenance (id, site, locker_id, door, starts_at, ends_at, why, planned_by, planned_at)
VALUES (%(id)s, %(site)s, %(locker)s, %(door)s, %(starts_at)s, %(ends_at)s, %(why)s, %(by)s, %(at)s)

-- maintenance_creation_lock --
-- Windows are planned one after the other, so that the limit over all of them holds; the number is this project's own.
SELECT pg_advisory_xact_lock(7165018443)

-- maintenance_count --
SELECT count(*) AS count FROM maintenance WHERE ended_at IS NULL AND ends_at > %(now)s

-- maintenance_end --
UPDATE maintenance SET ended_at = %(at)s, ended_by = %(by)s
WHERE id = %(id)s AND ended_at IS NULL AND ends_at > %(at)s

-- maintenance_one --
SELECT id, site, locker_id AS locker, door, starts_at, ends_at, why, planned_by AS by, ended_at
FROM maintenance WHERE id = %(id)s

-- maintenance_current --
SELECT id, site, locker_id AS locker, door, starts_at, ends_at, why, planned_by AS by, ended_at
FROM maintenance WHERE ended_at IS NULL AND ends_at > %(now)s ORDER BY starts_at, id LIMIT %(limit)s

-- maintenance_page --
SELECT id, site, locker_id AS locker, door, starts_at, ends_at, why, planned_by AS by, ended_at
FROM maintenance
WHERE (%(every)s OR (ended_at IS NULL AND ends_at > %(now)s))
  AND (%(after_at)s::timestamptz IS NULL OR (starts_at, id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY starts_at DESC, id DESC LIMIT %(limit)s
