-- The hosts of a store. Once released this file is never edited: a change is the next file.
--
-- Times are milliseconds of this server's clock. `life` tells one run of a program from all others, as JSON. `ended` says how it
-- is known that a host has ended: by itself (exit), seen on its machine (dead), said by a person (word); or that only its lease
-- is over (expired), which proves nothing.

CREATE TABLE host (
    id       text COLLATE "C" NOT NULL PRIMARY KEY,
    name     text COLLATE "C" NOT NULL,
    version  text COLLATE "C" NOT NULL,
    tables   bigint           NOT NULL,
    key_id   text COLLATE "C" NOT NULL,
    life     text             NOT NULL,
    started  bigint           NOT NULL,
    beat     bigint           NOT NULL,
    until    bigint           NOT NULL,
    lease_ms bigint           NOT NULL,
    ended    text COLLATE "C" CHECK (ended IN ('exit', 'dead', 'word', 'expired')),
    ended_at bigint,
    ended_by text
);

-- Operations with a step that a host had begun whose end nobody could prove.
CREATE TABLE unproven (
    operation_id text COLLATE "C" NOT NULL,
    host         text COLLATE "C" NOT NULL,
    PRIMARY KEY (operation_id, host)
);

-- There is one.
CREATE UNIQUE INDEX store_one ON store ((true));
