-- Schema version 7: calls that became parts of one trajectory say where in the logs each stands, and views do not count
-- segments as tokens.

ALTER TABLE model_call ADD COLUMN
  source INTEGER REFERENCES source;    -- the log of its record; NULL, as the next two: imported before version 7
ALTER TABLE model_call ADD COLUMN
  line INTEGER;                        -- of the record, in lines from 1
ALTER TABLE model_call ADD COLUMN
  byte_offset INTEGER;                 -- of the record, in the uncompressed log

DROP VIEW segments;
DROP VIEW tool_calls;
DROP VIEW groups;
