-- Which operations are unfinished is said without a list: SQLite made a table of one for each row that these indexes looked at.
-- Once released this file is never edited: a change is the next file.

DROP INDEX operation_open;
CREATE INDEX operation_open ON operation (platform, service_id, state, seq)
    WHERE state <> 'succeeded' AND state <> 'failed' AND state <> 'cancelled';
DROP INDEX operation_placing;
CREATE INDEX operation_placing ON operation (server)
    WHERE hook = 'create' AND state <> 'succeeded' AND state <> 'failed' AND state <> 'cancelled';
