-- How a row's time was got (hub.core.timing.TimeSource): boot, wall, order or receipt. The hub's own word, of nobody's
-- data. Rows that are here already do not say; a constant or a check would be refused for what is compressed.
ALTER TABLE event ADD COLUMN time_source text;
ALTER TABLE reading ADD COLUMN time_source text;
