-- The hosts of a store, which are several on Postgres. Here the table stays empty: a file has one host, which holds its lock.
-- Once released this file is never edited: a change is the next file.

CREATE TABLE host (
    id       TEXT    NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    version  TEXT    NOT NULL,
    tables   INTEGER NOT NULL,
    key_id   TEXT    NOT NULL,
    life     TEXT    NOT NULL,
    started  INTEGER NOT NULL,
    beat     INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    ended    TEXT CHECK (ended IN ('exit', 'dead', 'word', 'expired')),
    ended_at INTEGER,
    ended_by TEXT
) STRICT, WITHOUT ROWID;

-- Operations with a step that a host had begun whose end nobody could prove.
CREATE TABLE unproven (
    operation_id TEXT NOT NULL,
    host         TEXT NOT NULL,
    PRIMARY KEY (operation_id, host)
) STRICT, WITHOUT ROWID;
