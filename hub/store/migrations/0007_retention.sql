-- What is kept on order, what has gone by the rules, and the proofs of it.

-- A hold keeps what matches all that it names; what it does not name matches everything.
CREATE TABLE legal_hold (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenant,
    locker_id text,
    account_id uuid,
    -- What events know of the account; kept here, so that the hold still finds them when the account is gone.
    actor_id uuid,
    transaction_id uuid,
    since timestamptz,
    before timestamptz,
    why text NOT NULL CHECK (length(why) BETWEEN 1 AND 200),
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    -- Null: until it is released.
    until timestamptz,
    released_at timestamptz,
    released_by text,
    release_why text CHECK (length(release_why) <= 200),
    CHECK (num_nonnulls(locker_id, account_id, transaction_id, since, before) > 0),
    CHECK (since IS NULL OR before IS NULL OR since < before),
    CHECK ((account_id IS NULL) = (actor_id IS NULL))
);
CREATE INDEX legal_hold_active ON legal_hold (placed_at) WHERE released_at IS NULL;

-- Whether a hold that was active at a moment names what is of this tenant, locker, actor, transaction and time. What a
-- row does not say (null) is not what a hold names.
CREATE FUNCTION held_at(
    moment timestamptz, tenant text, locker text, actor uuid, transaction uuid, at timestamptz
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM legal_hold h
        WHERE h.placed_at <= held_at.moment
          AND (h.until IS NULL OR h.until > held_at.moment)
          AND (h.released_at IS NULL OR h.released_at > held_at.moment)
          AND h.tenant_id = held_at.tenant
          AND (h.locker_id IS NULL OR h.locker_id = held_at.locker)
          AND (h.actor_id IS NULL OR h.actor_id = held_at.actor)
          AND (h.transaction_id IS NULL OR h.transaction_id = held_at.transaction)
          AND (h.since IS NULL OR h.since <= held_at.at)
          AND (h.before IS NULL OR h.before > held_at.at)
    )
$$;

-- The same of holds that are active now.
CREATE FUNCTION held(tenant text, locker text, actor uuid, transaction uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT held_at(now(), tenant, locker, actor, transaction, at) $$;

CREATE FUNCTION tenant_of(locker text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT l.tenant_id FROM locker l WHERE l.id = tenant_of.locker), 'default')
$$;

-- The time before which a tenant's rows go, of those that have one of their own and of all others.
CREATE FUNCTION cut_off_of(tenant text, tenants text[], befores timestamptz[], otherwise timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(befores[array_position(tenants, tenant)], otherwise)
$$;

-- Numbers of ledgers that were stored and are gone by a rule, so that nobody takes them for lost.
CREATE TABLE ledger_gone (
    locker_id text NOT NULL,
    epoch uuid NOT NULL,
    why text NOT NULL CHECK (why IN ('retention', 'erasure')),
    numbers int8multirange NOT NULL,
    PRIMARY KEY (locker_id, epoch, why)
);

ALTER TABLE ledger_cursor DROP COLUMN stored;
ALTER TABLE ledger_cursor ADD COLUMN gone bigint NOT NULL DEFAULT 0 CHECK (gone >= 0);
ALTER TABLE ledger_cursor
    ADD COLUMN stored bigint GENERATED ALWAYS AS (next_seq - 1 - quarantined - missing - gone) STORED;

-- To be called in the transaction that deletes the rows, with exactly the numbers that it deletes. What had gone
-- before, and was put back by whatever means, is not counted again.
CREATE FUNCTION ledgers_let_go(lockers text[], epochs uuid[], reason text, what int8multirange[]) RETURNS void
LANGUAGE sql AS $$
    WITH fresh AS MATERIALIZED (
        SELECT t.locker_id, t.epoch, t.numbers - coalesce(
            (SELECT range_agg(g.numbers) FROM ledger_gone g
             WHERE g.locker_id = t.locker_id AND g.epoch = t.epoch), '{}'
        ) AS numbers
        FROM unnest(lockers, epochs, what) AS t (locker_id, epoch, numbers)
    ), kept AS (
        INSERT INTO ledger_gone AS g (locker_id, epoch, why, numbers)
        SELECT locker_id, epoch, reason, numbers FROM fresh WHERE NOT isempty(numbers)
        ON CONFLICT (locker_id, epoch, why) DO UPDATE SET numbers = g.numbers + excluded.numbers
    )
    UPDATE ledger_cursor c SET gone = c.gone + (SELECT sum(upper(r) - lower(r)) FROM unnest(f.numbers) AS r)
    FROM fresh f
    WHERE c.locker_id = f.locker_id AND c.epoch = f.epoch AND NOT isempty(f.numbers)
$$;

CREATE FUNCTION ledger_let_go(locker text, of_epoch uuid, reason text, what int8multirange) RETURNS void
LANGUAGE sql AS $$ SELECT ledgers_let_go(ARRAY[locker], ARRAY[of_epoch], reason, ARRAY[what]) $$;

-- The parts of a series, whatever it is here: chunks of a hypertable, native partitions, or the table itself. Bounds
-- are null where there are none: of a whole table, and of the partition that takes what fits into no other.
CREATE FUNCTION series_chunks(series text) RETURNS TABLE (chunk text, lower timestamptz, upper timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    form "char" := (SELECT relkind FROM pg_class WHERE oid = series::regclass);
BEGIN
    IF form = 'p' THEN
        RETURN QUERY
            SELECT i.inhrelid::regclass::text, bound[1]::timestamptz, bound[2]::timestamptz
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            LEFT JOIN LATERAL regexp_match(
                pg_get_expr(c.relpartbound, c.oid), $re$FROM \('(.+)'\) TO \('(.+)'\)$re$
            ) AS bound ON true
            WHERE i.inhparent = series::regclass
            ORDER BY 2 NULLS LAST;
        RETURN;
    END IF;
    IF to_regclass('timescaledb_information.chunks') IS NOT NULL THEN
        RETURN QUERY EXECUTE
            'SELECT format(''%I.%I'', chunk_schema, chunk_name), range_start, range_end
             FROM timescaledb_information.chunks
             WHERE format(''%I.%I'', hypertable_schema, hypertable_name)::regclass = $1::regclass
             ORDER BY 2' USING series;
        IF FOUND OR EXISTS (SELECT FROM timescaledb_information.hypertables
                            WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass = series::regclass) THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT series, NULL::timestamptz, NULL::timestamptz;
END $$;

-- Nobody writes into the chunk from here to the end of the transaction; it may still be read.
CREATE FUNCTION chunk_close(chunk text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE MODE', chunk::regclass);
END $$;

CREATE FUNCTION chunk_drop(series text, chunk text, lower timestamptz, upper timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT relispartition FROM pg_class WHERE oid = chunk::regclass) THEN
        EXECUTE format('DROP TABLE %s', chunk::regclass);
    ELSE
        EXECUTE 'SELECT drop_chunks($1::regclass, older_than => $2, newer_than => $3)' USING series, upper, lower;
        IF to_regclass(chunk) IS NOT NULL THEN
            RAISE EXCEPTION 'the chunk % of % was not dropped', chunk, series;
        END IF;
    END IF;
END $$;

-- Runs of retention, numbered densely. Sealed: the manifest is complete, chained, signed, and a file outside.
CREATE TABLE retention_run (
    number bigint PRIMARY KEY CHECK (number >= 1),
    began_at timestamptz NOT NULL,
    -- All that the manifest says of how the run began: hub, policy, cut-offs.
    began jsonb NOT NULL,
    sealed_at timestamptz,
    -- The file, byte for byte.
    proof bytea,
    sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CHECK (num_nulls(sealed_at, proof, sha256) IN (0, 3))
);
-- One run at a time.
CREATE UNIQUE INDEX retention_run_open ON retention_run ((true)) WHERE sealed_at IS NULL;

-- What a run has done, written in the transactions in which it did it.
CREATE TABLE retention_step (
    number bigint NOT NULL REFERENCES retention_run,
    category text NOT NULL,
    series text NOT NULL,
    chunk text NOT NULL,
    lower timestamptz,
    upper timestamptz,
    -- chunk: dropped whole; rows: deleted; emptied: the rows stay, without what they held.
    act text NOT NULL CHECK (act IN ('chunk', 'rows', 'emptied')),
    removed bigint NOT NULL CHECK (removed >= 0),
    PRIMARY KEY (number, category, series, chunk, act)
);
