-- What admission asks of a service with a long history. Once released this file is never edited: a change is the next file.

CREATE INDEX operation_lives ON operation (platform, service_id, epoch) WHERE hook IN ('create', 'renew');
CREATE INDEX operation_ended ON operation (platform, service_id, seq) WHERE hook = 'terminate' AND state = 'succeeded';
