-- The tables on Postgres, as SQLite has them at version 5. Once released this file is never edited: a change is the next file.
--
-- Texts compare by their bytes on both databases, whatever the locale of this one: lists are paged by them. JSON is kept as the
-- text that was written.

CREATE TABLE store (
    id         text COLLATE "C" NOT NULL,
    generation bigint           NOT NULL,
    state      text COLLATE "C" NOT NULL CHECK (state IN ('serving', 'retired', 'recovering')),
    schema     bigint           NOT NULL
);

-- What the last transaction of each host answered: whoever lost the connection before the answer came asks again.
CREATE TABLE batch (
    host   text COLLATE "C" NOT NULL PRIMARY KEY,
    number bigint           NOT NULL,
    fates  text             NOT NULL,
    at     timestamptz      NOT NULL
);

CREATE TABLE service (
    platform     text COLLATE "C" NOT NULL,
    service_id   text COLLATE "C" NOT NULL,
    epoch        bigint           NOT NULL,
    version      bigint           NOT NULL,
    status       text COLLATE "C" NOT NULL,
    provider     text COLLATE "C" NOT NULL,
    server       text COLLATE "C" NOT NULL,
    panel        text COLLATE "C" NOT NULL,
    product      text COLLATE "C" NOT NULL,
    remote_id    text COLLATE "C",
    client_id    text COLLATE "C",
    username     text COLLATE "C",
    domain       text COLLATE "C",
    properties   text             NOT NULL,
    paid_until   text COLLATE "C",
    ends_at      bigint,
    poll_at      bigint,
    pending      text,
    unsettled_ms bigint           NOT NULL,
    created_at   bigint           NOT NULL,
    updated_at   bigint           NOT NULL,
    PRIMARY KEY (platform, service_id)
);

-- A remote id leaves the row when the panel was read as gone, so that what is here is claimed.
CREATE UNIQUE INDEX service_remote ON service (panel, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX service_poll ON service (poll_at) WHERE poll_at IS NOT NULL;
-- A person knows the panel's id of a service and not always the panel.
CREATE INDEX service_remote_id ON service (remote_id) WHERE remote_id IS NOT NULL;
-- What counts against the capacity of a server: live services, and creates under way.
CREATE INDEX service_placed ON service (server, remote_id) WHERE remote_id IS NOT NULL;

-- What earlier epochs had on the panel. Never pruned.
CREATE TABLE former_remote (
    platform   text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    epoch      bigint           NOT NULL,
    panel      text COLLATE "C" NOT NULL,
    remote_id  text COLLATE "C" NOT NULL,
    gone_at    bigint           NOT NULL,
    PRIMARY KEY (platform, service_id, epoch)
);

CREATE INDEX former_remote_id ON former_remote (remote_id);

CREATE TABLE service_secret (
    platform   text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    sealed     bytea            NOT NULL,
    PRIMARY KEY (platform, service_id, name)
);

CREATE TABLE operation (
    id              text COLLATE "C" NOT NULL PRIMARY KEY,
    platform        text COLLATE "C" NOT NULL,
    service_id      text COLLATE "C" NOT NULL,
    epoch           bigint           NOT NULL,
    seq             bigint           NOT NULL,
    hook            text COLLATE "C" NOT NULL,
    action          text COLLATE "C",
    key             text COLLATE "C",
    fingerprint     text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL,
    touched         boolean          NOT NULL,
    doubted         boolean          NOT NULL,
    -- Its claim said that it may change something without a step: the journal alone does not tell what it touched.
    convergent      boolean          NOT NULL,
    active          boolean          NOT NULL,
    passed_by       text COLLATE "C",
    provider        text COLLATE "C" NOT NULL,
    server          text COLLATE "C" NOT NULL,
    panel           text COLLATE "C" NOT NULL,
    product         text COLLATE "C" NOT NULL,
    -- JSON: the group, and which of its servers were passed over and why. Absent where there was no choice.
    placement       text,
    renew_to        text COLLATE "C",
    library         text COLLATE "C",
    journal_version bigint           NOT NULL,
    -- The opening of the store under which it was claimed last: tells the running of a dead host from ours.
    host            text COLLATE "C",
    attempts        bigint           NOT NULL,
    run             bigint           NOT NULL,
    next_at         bigint,
    cancel_asked    boolean          NOT NULL,
    expires_at      bigint,
    fault           text,
    reason          text,
    outcome         text,
    secrets_state   text COLLATE "C" NOT NULL,
    created_at      bigint           NOT NULL,
    updated_at      bigint           NOT NULL,
    finished_at     bigint
);

CREATE UNIQUE INDEX operation_key ON operation (platform, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX operation_seq ON operation (platform, service_id, seq);
CREATE UNIQUE INDEX operation_active ON operation (platform, service_id) WHERE active;
CREATE INDEX operation_due ON operation (coalesce(next_at, 0), id) WHERE state IN ('queued', 'waiting');
CREATE INDEX operation_open ON operation (platform, service_id)
    WHERE state IN ('queued', 'running', 'waiting', 'attention');
CREATE INDEX operation_passed ON operation (passed_by) WHERE passed_by IS NOT NULL;
CREATE INDEX operation_secrets ON operation (finished_at) WHERE secrets_state = 'kept';
CREATE INDEX operation_failed ON operation (finished_at) WHERE state = 'failed';
-- What admission asks of a service with a long history.
CREATE INDEX operation_lives ON operation (platform, service_id, epoch) WHERE hook IN ('create', 'renew');
CREATE INDEX operation_ended ON operation (platform, service_id, seq) WHERE hook = 'terminate' AND state = 'succeeded';
CREATE INDEX operation_placing ON operation (server)
    WHERE hook = 'create' AND state IN ('queued', 'running', 'waiting', 'attention');

-- Apart from the operation's row, which is written again with every move.
CREATE TABLE request (
    operation_id text COLLATE "C" NOT NULL PRIMARY KEY,
    shown        text             NOT NULL,
    call         bytea            NOT NULL
);

CREATE TABLE result_secret (
    operation_id text COLLATE "C" NOT NULL PRIMARY KEY,
    sealed       bytea            NOT NULL
);

CREATE TABLE entry (
    operation_id text COLLATE "C" NOT NULL,
    position     bigint           NOT NULL,
    name         text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    stage        text COLLATE "C" NOT NULL,
    scope        text COLLATE "C",
    given        text             NOT NULL,
    result       text             NOT NULL,
    sealed       boolean          NOT NULL,
    secret       bytea,
    remote_id    boolean          NOT NULL,
    doubt        text,
    adopt        text,
    evidence     text             NOT NULL,
    runs         bigint           NOT NULL,
    PRIMARY KEY (operation_id, position)
);

CREATE TABLE scope (
    key          text COLLATE "C" NOT NULL PRIMARY KEY,
    count        bigint           NOT NULL,
    operation_id text COLLATE "C",
    step         text COLLATE "C"
);

CREATE INDEX scope_holder ON scope (operation_id) WHERE operation_id IS NOT NULL;

-- Operations and reading hooks. `place` is the id with its prefix behind, so that both stand in one order of time.
CREATE TABLE log (
    place      text COLLATE "C" NOT NULL PRIMARY KEY,
    platform   text COLLATE "C" NOT NULL,
    service_id text COLLATE "C",
    hook       text COLLATE "C" NOT NULL,
    provider   text COLLATE "C" NOT NULL,
    server     text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    fault      text COLLATE "C",
    summary    text             NOT NULL,
    attempts   bigint           NOT NULL,
    started_at bigint           NOT NULL,
    ended_at   bigint
);

-- The place is the end of each index, so that every filter pages by it.
CREATE INDEX log_service ON log (platform, service_id, place);
CREATE INDEX log_hook ON log (hook, place);
CREATE INDEX log_server ON log (server, place);
CREATE INDEX log_unwell ON log (state, place) WHERE state <> 'succeeded';
-- Most of the log has no fault.
CREATE INDEX log_fault ON log (fault, place) WHERE fault IS NOT NULL;

CREATE TABLE attempt (
    owner      text COLLATE "C" NOT NULL,
    run        bigint           NOT NULL,
    started_at bigint           NOT NULL,
    ended_at   bigint,
    "end"      text,
    fault      text,
    PRIMARY KEY (owner, run)
);

CREATE TABLE exchange (
    owner           text COLLATE "C" NOT NULL,
    run             bigint           NOT NULL,
    seq             bigint           NOT NULL,
    step            text,
    purpose         text             NOT NULL,
    method          text             NOT NULL,
    url             text             NOT NULL,
    "left"          boolean          NOT NULL,
    status          bigint,
    failure         text,
    started_at      bigint           NOT NULL,
    duration_us     bigint           NOT NULL,
    request_headers text             NOT NULL,
    reply_headers   text             NOT NULL,
    PRIMARY KEY (owner, run, seq)
);

-- Apart from the exchange: a list never touches bodies. `cut` holds length and hash of one whose middle was left out;
-- of one that is whole they can be told from itself.
CREATE TABLE body (
    owner         text COLLATE "C" NOT NULL,
    run           bigint           NOT NULL,
    seq           bigint           NOT NULL,
    request_codec bigint,
    request       bytea,
    request_cut   text,
    reply_codec   bigint,
    reply         bytea,
    reply_cut     text,
    PRIMARY KEY (owner, run, seq)
);

-- They are packed already.
ALTER TABLE body ALTER COLUMN request SET STORAGE EXTERNAL, ALTER COLUMN reply SET STORAGE EXTERNAL;

CREATE TABLE note (
    number bigint           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner  text COLLATE "C" NOT NULL,
    run    bigint           NOT NULL,
    at     bigint           NOT NULL,
    kind   text COLLATE "C" NOT NULL,
    text   text             NOT NULL
);

CREATE INDEX note_owner ON note (owner, number);

-- The words of the log's rows by the number of the row, which its id tells: no row is stored here, and none is read.
-- Words are only ever added, so that an entry is found by whatever was once said of it.
CREATE TABLE log_words (
    number bigint   NOT NULL PRIMARY KEY,
    words  tsvector NOT NULL
);

CREATE INDEX log_words_words ON log_words USING gin (words);

-- Words on their way: written in the commit of their row, and moved into the index many at a time.
CREATE TABLE unindexed (
    number bigint NOT NULL PRIMARY KEY,
    words  text   NOT NULL
);

-- What is left to be indexed of a log that is older than its index: the rows before this place. Gone when it is done.
CREATE TABLE backlog (
    place text COLLATE "C" NOT NULL PRIMARY KEY
);

-- Servers whose operations are held back by a person, until that is ended.
CREATE TABLE pause (
    server    text COLLATE "C" NOT NULL PRIMARY KEY,
    paused_by text             NOT NULL,
    paused_at bigint           NOT NULL
);
