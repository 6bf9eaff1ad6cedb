-- What operators look a locker up by, beside its name and site.

CREATE FUNCTION tags_fit(tags text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(bool_and(tag IS NOT NULL AND length(tag) BETWEEN 1 AND 40 AND tag !~ '[[:cntrl:]]'), true)
    FROM unnest(tags) AS tag
$$;

ALTER TABLE locker
    ADD COLUMN address text NOT NULL DEFAULT '' CHECK (length(address) <= 200 AND address !~ '[[:cntrl:]]'),
    ADD COLUMN serial text NOT NULL DEFAULT '' CHECK (length(serial) <= 60 AND serial !~ '[[:cntrl:]]'),
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 20 AND tags_fit(tags));
