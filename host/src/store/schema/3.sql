-- The two bodies of an exchange in one row. Once released this file is never edited: a change is the next file.

ALTER TABLE body RENAME TO body_by_side;

-- Still apart from the exchange: a list never touches bodies. `cut` holds length and hash of one whose middle was left out;
-- of one that is whole they can be told from itself.
CREATE TABLE body (
    owner         TEXT    NOT NULL,
    run           INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    request_codec INTEGER,
    request       BLOB,
    request_cut   TEXT,
    reply_codec   INTEGER,
    reply         BLOB,
    reply_cut     TEXT,
    PRIMARY KEY (owner, run, seq)
) STRICT;

INSERT INTO body (owner, run, seq, request_codec, request, request_cut, reply_codec, reply, reply_cut)
SELECT owner, run, seq,
    max(iif(side = 'request', codec, NULL)), max(iif(side = 'request', bytes, NULL)),
    max(iif(side = 'request' AND cut, json_object('length', length, 'sha256', lower(hex(sha256))), NULL)),
    max(iif(side = 'reply', codec, NULL)), max(iif(side = 'reply', bytes, NULL)),
    max(iif(side = 'reply' AND cut, json_object('length', length, 'sha256', lower(hex(sha256))), NULL))
FROM body_by_side
GROUP BY owner, run, seq;

DROP TABLE body_by_side;
