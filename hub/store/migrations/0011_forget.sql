-- Orders to forget somebody: they wait for long, and once they have ended they name nobody.

CREATE INDEX command_forget ON command (locker_id, accepted_at, id)
    WHERE kind = 'forget' AND state IN ('queued', 'sent', 'accepted', 'timed_out');

-- In whatever way a row comes to its end: by a reply, a ledger, its time, or a person at the database.
CREATE FUNCTION command_names_nobody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.args := NULL;
    NEW.actor_id := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER command_forget_ends BEFORE INSERT OR UPDATE ON command FOR EACH ROW
    WHEN (NEW.kind = 'forget' AND NEW.state NOT IN ('queued', 'sent', 'accepted', 'timed_out'))
    EXECUTE FUNCTION command_names_nobody();
