//! What rides along: attempts, exchanges, lines, and the log rows of reading hooks.

use super::batch::Command;
use super::kind::Kind;
use super::model::{Evidence, Reading};
use super::words;
use crate::body;
use crate::hex::hex;
use serde_json::{Value, json};

/// A reading hook in the log.
pub const READING: &str = "
INSERT INTO log (place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at)
WITH {r}
SELECT {place id}, v ->> 'platform', v ->> 'service_id', v ->> 'hook', v ->> 'provider', v ->> 'server', v ->> 'state',
    v ->> 'fault', v ->> 'summary', 1, v ->> 'started_at', v ->> 'ended_at'
FROM r
WHERE true
ON CONFLICT DO NOTHING";

/// An attempt that began or ended; what is known later wins, and an end is never forgotten.
pub const ATTEMPT: &str = "
INSERT INTO attempt (owner, run, started_at, ended_at, end, fault)
WITH {r}
SELECT v ->> 'owner', v ->> 'run', v ->> 'started_at', v ->> 'ended_at', v ->> 'end', v ->> 'fault' FROM r
WHERE true
ON CONFLICT (owner, run) DO UPDATE
SET ended_at = excluded.ended_at, end = excluded.end, fault = excluded.fault
WHERE excluded.ended_at IS NOT NULL OR attempt.ended_at IS NULL";

/// An exchange, without its bodies.
pub const EXCHANGE: &str = "
INSERT INTO exchange (owner, run, seq, step, purpose, method, url, left, status, failure, started_at, duration_us,
    request_headers, reply_headers)
WITH {r}
SELECT v ->> 'owner', v ->> 'run', v ->> 'seq', v ->> 'step', v ->> 'purpose', v ->> 'method', v ->> 'url', v ->> 'left',
    v ->> 'status', v ->> 'failure', v ->> 'started_at', v ->> 'duration_us', v ->> 'request_headers', v ->> 'reply_headers'
FROM r
WHERE true
ON CONFLICT DO NOTHING";

/// The packed bodies of an exchange.
pub const BODY: &str = "
INSERT INTO body (owner, run, seq, request_codec, request, request_cut, reply_codec, reply, reply_cut)
WITH {r}
SELECT v ->> 'owner', v ->> 'run', v ->> 'seq',
    v ->> '$.request.codec', substr($1, (v ->> 'b') + (v ->> '$.request.bytes[0]') + 1, v ->> '$.request.bytes[1]'),
    v ->> '$.request.cut',
    v ->> '$.reply.codec', substr($1, (v ->> 'b') + (v ->> '$.reply.bytes[0]') + 1, v ->> '$.reply.bytes[1]'),
    v ->> '$.reply.cut'
FROM r
WHERE true
ON CONFLICT DO NOTHING";

/// A line.
pub const NOTE: &str = "
INSERT INTO note (owner, run, at, kind, text)
WITH {r}
SELECT v ->> 'owner', v ->> 'run', v ->> 'at', v ->> 'kind', v ->> 'text' FROM r";

/// Adds the rows. Bodies are packed here, in the task of whoever saw them, not in the writer's.
pub fn rows(command: &mut Command, evidence: &Evidence, body_cap: usize) {
    for attempt in &evidence.attempts {
        let fault = attempt.fault.as_ref().map(|fault| json!(fault).to_string());
        let row = json!({
            "owner": attempt.owner, "run": attempt.run, "started_at": attempt.started_at,
            "ended_at": attempt.ended_at, "end": attempt.end, "fault": fault,
        });
        command.row(Kind::Attempt, &row);
        command.tells_of(&attempt.owner);
    }
    for exchange in &evidence.exchanges {
        let row = json!({
            "owner": exchange.owner, "run": exchange.run, "seq": exchange.seq, "step": exchange.step,
            "purpose": exchange.purpose, "method": exchange.method, "url": exchange.url, "left": exchange.left,
            "status": exchange.status, "failure": exchange.failure, "started_at": exchange.started_at,
            "duration_us": exchange.duration_us,
            "request_headers": json!(exchange.request_headers).to_string(),
            "reply_headers": json!(exchange.reply_headers).to_string(),
        });
        command.row(Kind::Exchange, &row);
        command.tells_of(&exchange.owner);
        let request = body(command, exchange.request_body.as_deref(), body_cap);
        let reply = body(command, exchange.reply_body.as_deref(), body_cap);
        if request.is_some() || reply.is_some() {
            let row = json!({
                "owner": exchange.owner, "run": exchange.run, "seq": exchange.seq, "request": request, "reply": reply,
            });
            command.row(Kind::Body, &row);
        }
    }
    for note in &evidence.notes {
        command.row(Kind::Note, &json!(note));
        command.tells_of(&note.owner);
    }
}

fn body(command: &mut Command, text: Option<&str>, cap: usize) -> Option<Value> {
    let packed = body::pack(text?.as_bytes(), cap);
    let bytes = command.bytes(&packed.bytes);
    let cut = packed.cut.map(|whole| json!({ "length": whole.length, "sha256": hex(&whole.sha256) }).to_string());
    Some(json!({ "codec": packed.codec, "bytes": bytes, "cut": cut }))
}

/// Adds the log row of a reading hook.
pub fn reading(command: &mut Command, reading: &Reading) {
    let mut row = json!({
        "id": reading.id, "platform": reading.platform, "service_id": reading.service_id, "hook": reading.hook,
        "provider": reading.provider, "server": reading.server, "state": reading.state,
        "fault": reading.fault.as_ref().map(|fault| fault.class), "summary": reading.summary,
        "started_at": reading.started_at, "ended_at": reading.ended_at,
    });
    let fault = reading.fault.iter().flat_map(words::of_fault);
    let said = [Some(reading.summary.as_str()), reading.service_id.as_deref()].into_iter().flatten();
    words::add(command, &mut row, &reading.id, said.chain(fault));
    command.row(Kind::Reading, &row);
    command.makes(&reading.id);
}
