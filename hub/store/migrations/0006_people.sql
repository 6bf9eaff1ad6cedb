-- People. Who they are stands here and nowhere else: events, commands, logs, metrics and the audit know a random id.

ALTER TABLE tenant
    -- Off until the customer asks for them: nothing of that kind is then accepted or stored.
    ADD COLUMN badges boolean NOT NULL DEFAULT false,
    ADD COLUMN codes boolean NOT NULL DEFAULT false,
    ADD COLUMN transactions boolean NOT NULL DEFAULT false,
    ADD COLUMN region text NOT NULL DEFAULT '' CHECK (length(region) <= 40);

-- Who did what, each row bound to the one before it by its hash (hub/core/people/chain.py).
CREATE TABLE audit (
    -- Dense: a row that is missing shows.
    id bigint PRIMARY KEY CHECK (id >= 1),
    at timestamptz NOT NULL,
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 64),
    action text NOT NULL CHECK (action ~ '^[a-z_.]{1,60}$'),
    -- `kind:id`. Only its salted digest is in the hash, so that it can be emptied, with its salt, when a person is
    -- erased: what is left says that something was done, and no longer to whom.
    subject text CHECK (length(subject) BETWEEN 1 AND 120),
    salt bytea CHECK (length(salt) = 16),
    subject_digest bytea CHECK (length(subject_digest) = 32),
    -- json and not jsonb: the hash is over exactly this text. It never says who somebody is.
    detail json NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    CHECK ((subject IS NULL) = (salt IS NULL)),
    CHECK (subject IS NULL OR subject_digest IS NOT NULL)
);
CREATE INDEX audit_subject ON audit (subject) WHERE subject IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- The end of the chain. Its lock makes those who write a row wait for each other.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_head (id, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Where the chain begins: the newest row that has gone by the rules of retention.
CREATE TABLE audit_anchor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    up_to_id bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_anchor (up_to_id, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Drops up to `rows_max` of the oldest rows before `cut_off`, keeps the hash of the last one, returns how many went.
-- A row that is older than its predecessor (clocks differ) waits for it: the chain only loses its beginning.
CREATE FUNCTION audit_let_go(cut_off timestamptz, rows_max integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last audit%ROWTYPE;
    gone bigint;
BEGIN
    PERFORM FROM audit_anchor FOR UPDATE;
    SELECT a.* INTO last FROM audit a
    WHERE a.id < coalesce((SELECT id FROM audit WHERE at >= cut_off ORDER BY id LIMIT 1), 9223372036854775807)
      AND a.id <= (SELECT up_to_id FROM audit_anchor) + rows_max
    ORDER BY a.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE audit_anchor SET up_to_id = last.id, hash = last.hash;
    DELETE FROM audit WHERE id <= last.id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

CREATE TABLE account (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    -- Random; what events carry. It says nothing once this row is gone.
    actor_id uuid NOT NULL UNIQUE,
    -- As it was given, in NFC.
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    -- By which it is found and unique: in lower case by Unicode's rules, which this database's locale may not know.
    email_key text,
    name text NOT NULL DEFAULT '' CHECK (length(name) <= 120),
    created_at timestamptz NOT NULL,
    -- Null: active. The three years run from here; an account that is active again has no such time.
    deactivated_at timestamptz,
    -- Set: the data is kept and not used (restriction, objection).
    restricted_at timestamptz,
    restricted_why text CHECK (length(restricted_why) <= 200)
);
CREATE UNIQUE INDEX account_email ON account (tenant_id, coalesce(email_key, lower(email)));
CREATE INDEX account_deactivated ON account (deactivated_at) WHERE deactivated_at IS NOT NULL;

-- No deletion cascades here: whoever erases a person says what, and what was left out stops the account's deletion.
CREATE TABLE credential (
    account_id uuid PRIMARY KEY REFERENCES account,
    salt bytea NOT NULL CHECK (length(salt) = 16),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    -- scrypt's cost, block size and parallelism, as they were when it was hashed.
    scrypt_n integer NOT NULL,
    scrypt_r integer NOT NULL,
    scrypt_p integer NOT NULL,
    set_at timestamptz NOT NULL
);

CREATE TABLE badge (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    account_id uuid NOT NULL REFERENCES account,
    number text NOT NULL CHECK (length(number) BETWEEN 1 AND 64),
    added_at timestamptz NOT NULL,
    UNIQUE (tenant_id, number)
);
CREATE INDEX badge_account ON badge (account_id);

-- What lockers are used for. The notice names ten uses; a new one is a new row.
CREATE TABLE transaction_kind (
    id text PRIMARY KEY CHECK (id ~ '^[a-z_]{1,40}$'),
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 80)
);
INSERT INTO transaction_kind (id, title) VALUES
    ('assign_asset', 'Assign an asset'),
    ('loan_and_return', 'Loan and return an asset'),
    ('collect_asset', 'Collect an asset'),
    ('return_faulty_item', 'Reserve a compartment to return a faulty item'),
    ('assign_loaner', 'Assign a loaner item'),
    ('send_to_colleague', 'Send an item to a colleague'),
    ('repair', 'Have a broken asset fixed'),
    ('office_supplies', 'Distribute office supplies'),
    ('personal_storage', 'Store a personal item'),
    ('parts', 'Store and manage parts');

CREATE TABLE transaction (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    account_id uuid NOT NULL REFERENCES account,
    kind text NOT NULL REFERENCES transaction_kind,
    locker_id text NOT NULL,
    door smallint,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'completed', 'cancelled', 'expired', 'abandoned')),
    opened_at timestamptz NOT NULL,
    -- Null: it waits until somebody ends it.
    expires_at timestamptz,
    ended_at timestamptz,
    CHECK ((state = 'open') = (ended_at IS NULL))
);
CREATE INDEX transaction_account ON transaction (account_id, opened_at DESC);
CREATE INDEX transaction_page ON transaction (opened_at DESC, id DESC);
CREATE INDEX transaction_open ON transaction (expires_at) WHERE state = 'open';

-- A code is nowhere but with whom it was given to: here is only what a secret key makes of it.
CREATE TABLE access_code (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    transaction_id uuid NOT NULL REFERENCES transaction,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (tenant_id, digest)
);
CREATE INDEX access_code_transaction ON access_code (transaction_id);
CREATE INDEX access_code_expires ON access_code (expires_at);

-- However a transaction ends, its codes end with it.
CREATE FUNCTION transaction_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM access_code WHERE transaction_id = new.id;
    RETURN NULL;
END $$;
CREATE TRIGGER transaction_ended AFTER UPDATE OF state ON transaction
    FOR EACH ROW WHEN (new.state <> 'open') EXECUTE FUNCTION transaction_ended();

-- Asked for at the end of a transaction; nobody has to answer.
CREATE TABLE rating (
    transaction_id uuid PRIMARY KEY REFERENCES transaction,
    score smallint NOT NULL CHECK (score BETWEEN 1 AND 5),
    comment text CHECK (length(comment) <= 500),
    rated_at timestamptz NOT NULL
);

-- Privacy notices. Versions stay: what somebody accepted can be read as long as there is a hub.
CREATE TABLE notice (
    tenant_id text NOT NULL REFERENCES tenant,
    version integer NOT NULL CHECK (version >= 1),
    body text NOT NULL CHECK (length(body) BETWEEN 1 AND 100000),
    effective_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL,
    published_by text NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE notice_acceptance (
    account_id uuid NOT NULL REFERENCES account,
    tenant_id text NOT NULL,
    version integer NOT NULL,
    accepted_at timestamptz NOT NULL,
    -- Consent that was taken back, from then on.
    withdrawn_at timestamptz,
    PRIMARY KEY (account_id, version),
    FOREIGN KEY (tenant_id, version) REFERENCES notice
);

-- What a person asked for. It outlives the person's erasure without them, as the proof that it was answered.
CREATE TABLE rights_request (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    -- Null: erased.
    account_id uuid REFERENCES account,
    kind text NOT NULL CHECK (kind IN ('access', 'rectification', 'erasure', 'restriction', 'objection',
                                       'portability', 'withdrawal')),
    by_agent boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('received', 'identity_checked', 'done', 'partly', 'refused')),
    received_at timestamptz NOT NULL,
    received_by text NOT NULL,
    deadline_at timestamptz NOT NULL,
    answered_at timestamptz,
    answered_by text,
    answer text CHECK (length(answer) <= 2000),
    CHECK ((state IN ('done', 'partly', 'refused')) = (answered_at IS NOT NULL)),
    CHECK ((answered_at IS NULL) = (answered_by IS NULL))
);
CREATE INDEX rights_request_account ON rights_request (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX rights_request_due ON rights_request (deadline_at) WHERE answered_at IS NULL;
CREATE INDEX rights_request_page ON rights_request (received_at DESC, id DESC);

CREATE TABLE rights_check (
    request_id uuid NOT NULL REFERENCES rights_request,
    what text NOT NULL CHECK (what IN ('identity', 'agent_permission', 'agent_identity')),
    how text NOT NULL CHECK (how IN ('sign_in', 'recorded')),
    -- What was looked at. Emptied with the person.
    note text CHECK (length(note) <= 500),
    checked_at timestamptz NOT NULL,
    checked_by text NOT NULL,
    PRIMARY KEY (request_id, what),
    CHECK (how = 'recorded' OR what = 'identity')
);

-- Who was erased: random ids, so that what comes later of them (a locker that was away) is erased too. After
-- `keep_until` the ids go as well, and what was deleted stays as a number.
CREATE TABLE erasure (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    account_id uuid UNIQUE,
    actor_id uuid UNIQUE,
    cause text NOT NULL CHECK (cause IN ('request', 'child', 'deactivated')),
    asked_by text NOT NULL,
    request_id uuid,
    began_at timestamptz NOT NULL,
    -- When it last went through to its end.
    done_at timestamptz,
    -- What holds keep, by table, when it last went through; nothing where it is empty.
    kept jsonb NOT NULL DEFAULT '{}',
    -- Rows that are gone, by table, in all.
    deleted jsonb NOT NULL DEFAULT '{}',
    keep_until timestamptz NOT NULL,
    CHECK ((account_id IS NULL) = (actor_id IS NULL))
);
CREATE INDEX erasure_unfinished ON erasure (began_at) WHERE done_at IS NULL OR kept <> '{}';

-- Lockers that had events of an erased person, and the commands that make them forget, too.
CREATE TABLE erasure_locker (
    erasure_id uuid NOT NULL REFERENCES erasure,
    locker_id text NOT NULL,
    -- How many times events of the person came from there; each time it is told again.
    rounds integer NOT NULL DEFAULT 1,
    -- The round that was told; 0 for none.
    told integer NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure_id, locker_id)
);
CREATE INDEX erasure_locker_untold ON erasure_locker (erasure_id) WHERE told < rounds;

-- The text without any of the needles, in whatever case of letters.
CREATE FUNCTION without_any(haystack text, needles text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    needle text;
BEGIN
    FOREACH needle IN ARRAY needles LOOP
        -- ***=: taken literally.
        haystack := regexp_replace(haystack, '***=' || needle, 'erased', 'gi');
    END LOOP;
    RETURN haystack;
END $$;

-- Where a person is looked for.
CREATE INDEX event_actor ON event (actor_id, occurred_at) WHERE actor_id IS NOT NULL;
CREATE INDEX command_actor ON command (actor_id) WHERE actor_id IS NOT NULL;
