-- Tables of version 1. Once released this file is never edited: a change is the next file.

CREATE TABLE store (
    id         TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('serving', 'retired', 'recovering')),
    schema     INTEGER NOT NULL
) STRICT;

CREATE TABLE service (
    platform     TEXT    NOT NULL,
    service_id   TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    status       TEXT    NOT NULL,
    provider     TEXT    NOT NULL,
    server       TEXT    NOT NULL,
    panel        TEXT    NOT NULL,
    product      TEXT    NOT NULL,
    remote_id    TEXT,
    client_id    TEXT,
    username     TEXT,
    domain       TEXT,
    properties   TEXT    NOT NULL,
    paid_until   TEXT,
    ends_at      INTEGER,
    poll_at      INTEGER,
    pending      TEXT,
    unsettled_ms INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (platform, service_id)
) STRICT;

-- A remote id leaves the row when the panel was read as gone, so that what is here is claimed.
CREATE UNIQUE INDEX service_remote ON service (panel, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX service_poll ON service (poll_at) WHERE poll_at IS NOT NULL;

-- What earlier epochs had on the panel. Never pruned.
CREATE TABLE former_remote (
    platform   TEXT    NOT NULL,
    service_id TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    panel      TEXT    NOT NULL,
    remote_id  TEXT    NOT NULL,
    gone_at    INTEGER NOT NULL,
    PRIMARY KEY (platform, service_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE service_secret (
    platform   TEXT NOT NULL,
    service_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (platform, service_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE operation (
    id              TEXT    NOT NULL PRIMARY KEY,
    platform        TEXT    NOT NULL,
    service_id      TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    hook            TEXT    NOT NULL,
    action          TEXT,
    key             TEXT,
    fingerprint     TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    touched         INTEGER NOT NULL,
    doubted         INTEGER NOT NULL,
    -- Its claim said that it may change something without a step: the journal alone does not tell what it touched.
    convergent      INTEGER NOT NULL,
    active          INTEGER NOT NULL,
    passed_by       TEXT,
    provider        TEXT    NOT NULL,
    server          TEXT    NOT NULL,
    panel           TEXT    NOT NULL,
    product         TEXT    NOT NULL,
    renew_to        TEXT,
    library         TEXT,
    journal_version INTEGER NOT NULL,
    -- The opening of the store under which it was claimed last: tells the running of a dead host from ours.
    host            TEXT,
    attempts        INTEGER NOT NULL,
    run             INTEGER NOT NULL,
    next_at         INTEGER,
    cancel_asked    INTEGER NOT NULL,
    expires_at      INTEGER,
    fault           TEXT,
    reason          TEXT,
    outcome         TEXT,
    secrets_state   TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    finished_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX operation_key ON operation (platform, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX operation_seq ON operation (platform, service_id, seq);
CREATE UNIQUE INDEX operation_active ON operation (platform, service_id) WHERE active = 1;
CREATE INDEX operation_due ON operation (coalesce(next_at, 0), id) WHERE state IN ('queued', 'waiting');
CREATE INDEX operation_open ON operation (platform, service_id)
    WHERE state IN ('queued', 'running', 'waiting', 'attention');
CREATE INDEX operation_passed ON operation (passed_by) WHERE passed_by IS NOT NULL;
CREATE INDEX operation_secrets ON operation (finished_at) WHERE secrets_state = 'kept';
CREATE INDEX operation_failed ON operation (finished_at) WHERE state = 'failed';

-- Apart from the operation's row, which is written again with every move.
CREATE TABLE request (
    operation_id TEXT NOT NULL PRIMARY KEY,
    shown        TEXT NOT NULL,
    call         BLOB NOT NULL
) STRICT;

CREATE TABLE result_secret (
    operation_id TEXT NOT NULL PRIMARY KEY,
    sealed       BLOB NOT NULL
) STRICT;

CREATE TABLE entry (
    operation_id TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    stage        TEXT    NOT NULL,
    scope        TEXT,
    given        TEXT    NOT NULL,
    result       TEXT    NOT NULL,
    sealed       INTEGER NOT NULL,
    secret       BLOB,
    remote_id    INTEGER NOT NULL,
    doubt        TEXT,
    adopt        TEXT,
    evidence     TEXT    NOT NULL,
    runs         INTEGER NOT NULL,
    PRIMARY KEY (operation_id, position)
) STRICT;

CREATE TABLE scope (
    key          TEXT    NOT NULL PRIMARY KEY,
    count        INTEGER NOT NULL,
    operation_id TEXT,
    step         TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX scope_holder ON scope (operation_id) WHERE operation_id IS NOT NULL;

-- Operations and reading hooks. `place` is the id with its prefix behind, so that both stand in one order of time.
CREATE TABLE log (
    place      TEXT    NOT NULL PRIMARY KEY,
    platform   TEXT    NOT NULL,
    service_id TEXT,
    hook       TEXT    NOT NULL,
    provider   TEXT    NOT NULL,
    server     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    fault      TEXT,
    summary    TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

-- The row's key is the end of each index, so that every filter pages by place.
CREATE INDEX log_service ON log (platform, service_id);
CREATE INDEX log_hook ON log (hook);
CREATE INDEX log_server ON log (server);
CREATE INDEX log_unwell ON log (state) WHERE state <> 'succeeded';

CREATE TABLE attempt (
    owner      TEXT    NOT NULL,
    run        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    end        TEXT,
    fault      TEXT,
    PRIMARY KEY (owner, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE exchange (
    owner           TEXT    NOT NULL,
    run             INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    step            TEXT,
    purpose         TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    left            INTEGER NOT NULL,
    status          INTEGER,
    failure         TEXT,
    started_at      INTEGER NOT NULL,
    duration_us     INTEGER NOT NULL,
    request_headers TEXT    NOT NULL,
    reply_headers   TEXT    NOT NULL,
    PRIMARY KEY (owner, run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE body (
    owner  TEXT    NOT NULL,
    run    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    side   TEXT    NOT NULL CHECK (side IN ('request', 'reply')),
    codec  INTEGER NOT NULL,
    bytes  BLOB    NOT NULL,
    length INTEGER NOT NULL,
    sha256 BLOB    NOT NULL,
    cut    INTEGER NOT NULL,
    PRIMARY KEY (owner, run, seq, side)
) STRICT;

CREATE TABLE note (
    number INTEGER PRIMARY KEY,
    owner  TEXT    NOT NULL,
    run    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    text   TEXT    NOT NULL
) STRICT;

CREATE INDEX note_owner ON note (owner);
