-- Which sensor of its door an alarm is of: hook or item, where it is of one. A locker's word for its own parts, of nobody's
-- data. Each has an alarm of its own, so that the end of one does not close the other's. Those that are open already do not
-- say which; they are closed by the end of either.
ALTER TABLE alarm ADD COLUMN sensor text CHECK (sensor IN ('hook', 'item')), ADD CHECK (sensor IS NULL OR door IS NOT NULL);
DROP INDEX alarm_open;
CREATE UNIQUE INDEX alarm_open ON alarm
    (tenant_id, locker_id, (CASE WHEN locker_id IS NULL THEN site END), door, sensor, type) NULLS NOT DISTINCT
    WHERE closed_at IS NULL;
