-- Servers chosen out of groups. Once released this file is never edited: a change is the next file.

-- JSON: the group, and which of its servers were passed over and why. Absent where there was no choice.
ALTER TABLE operation ADD COLUMN placement TEXT;

-- What counts against the capacity of a server: live services, and creates under way.
CREATE INDEX service_placed ON service (server, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX operation_placing ON operation (server)
    WHERE hook = 'create' AND state IN ('queued', 'running', 'waiting', 'attention');
