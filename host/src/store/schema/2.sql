-- Search, and pauses. Once released this file is never edited: a change is the next file.

-- The words of the log's rows by the number of the row, which its id tells: no row is stored here, and none is read.
-- Words are only ever added, so that an entry is found by whatever was once said of it.
CREATE VIRTUAL TABLE log_words USING fts5 (words, content = '', columnsize = 0, detail = 'none', tokenize = 'ascii');

-- Words on their way: written in the commit of their row, which costs one page, and moved into the index many at a time.
CREATE TABLE unindexed (
    number INTEGER PRIMARY KEY,
    words  TEXT    NOT NULL
) STRICT;

-- What is left to be indexed of a log that is older than its index: the rows before this place. Gone when it is done.
CREATE TABLE backlog (
    place TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO backlog (place) SELECT max(place) || '~' FROM log HAVING count(*) > 0;

-- Most of the log has no fault.
CREATE INDEX log_fault ON log (fault) WHERE fault IS NOT NULL;

-- A person knows the panel's id of a service and not always the panel.
CREATE INDEX service_remote_id ON service (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX former_remote_id ON former_remote (remote_id);

-- Servers whose operations are held back by a person, until that is ended.
CREATE TABLE pause (
    server    TEXT    NOT NULL PRIMARY KEY,
    paused_by TEXT    NOT NULL,
    paused_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
