-- A store that is being copied here, and the words of pruned entries. Once released this file is never edited: a change is the next file.

ALTER TABLE store DROP CONSTRAINT store_state_check;
ALTER TABLE store ADD CONSTRAINT store_state_check CHECK (state IN ('serving', 'retired', 'recovering', 'copying'));

-- How far each part of a copy is; empty but for that time. `reached` is the key of the last row that is here, as a JSON list; of
-- the part `store` it is the state that the copy will have, of `copy` its name. `digest` sums up the rows as the source has them.
CREATE TABLE copied (
    part    text COLLATE "C" NOT NULL PRIMARY KEY,
    reached text,
    rows    bigint           NOT NULL,
    digest  bigint           NOT NULL,
    is_over boolean          NOT NULL
);

-- Entries that were pruned and whose words are still in the index.
CREATE TABLE forgotten (
    number bigint NOT NULL PRIMARY KEY
);
