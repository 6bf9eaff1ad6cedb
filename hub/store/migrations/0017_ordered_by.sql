-- Which operator gave a command: the name of a token, not a person of the lockers. Unknown for those of before, and for
-- commands that only their locker's ledger still tells of.
ALTER TABLE command ADD COLUMN ordered_by text CHECK (length(ordered_by) <= 40);
