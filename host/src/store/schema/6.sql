-- A store that has moved, and the words of pruned entries. Once released this file is never edited: a change is the next file.

-- Where a retired store has gone.
ALTER TABLE store ADD COLUMN gone_to TEXT;
-- The name of a copy under way. It goes when the store is opened to serve: what was copied before is not the store any more.
ALTER TABLE store ADD COLUMN copy TEXT;

-- The index of words read the other way round: by whoever takes words out of it, or along. Nothing is stored here.
CREATE VIRTUAL TABLE log_terms USING fts5vocab (log_words, instance);

-- Entries that were pruned and whose words are still in the index.
CREATE TABLE forgotten (
    number INTEGER PRIMARY KEY
) STRICT;
