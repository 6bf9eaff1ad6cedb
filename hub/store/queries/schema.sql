-- migration_table --
-- Keeps what was applied; made before anything else.
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- migration_exists --
SELECT to_regclass('schema_migration') IS NOT NULL

-- migrations_applied --
SELECT number, name, sha256 FROM schema_migration ORDER BY number

-- migration_add --
INSERT INTO schema_migration (number, name, sha256) VALUES (%(number)s, %(name)s, %(sha256)s)

-- migration_zone --
-- Months are those of UTC, as everywhere: a database may have been made for another zone, where it is another month.
SET TIME ZONE 'UTC'

-- migration_lock --
-- One migrator at a time; the number is this project's own.
SELECT pg_advisory_lock(7165018441)

-- migration_unlock --
SELECT pg_advisory_unlock(7165018441)

-- timescaledb_available --
-- The setting is there if the library is loaded at the server's start, without which the extension cannot be created. An
-- ordinary role may not look at shared_preload_libraries itself.
SELECT default_version, installed_version
FROM pg_available_extensions
WHERE name = 'timescaledb' AND current_setting('timescaledb.max_background_workers', true) IS NOT NULL

-- timescaledb_create --
CREATE EXTENSION IF NOT EXISTS timescaledb

-- timescaledb_license --
SELECT current_setting('timescaledb.license', true) AS license

-- series_settings --
SELECT series_settings()
