-- What is unfinished of a service is found by its state: who is next of many that wait is found without reading them all.
-- Once released this file is never edited: a change is the next file.

DROP INDEX operation_open;
CREATE INDEX operation_open ON operation (platform, service_id, state, seq)
    WHERE state IN ('queued', 'running', 'waiting', 'attention');
