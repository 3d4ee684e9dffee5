//! What rides along: attempts, exchanges, lines, and the log rows of reading hooks.

use super::command::{Command, Slice};
use super::json_text::json_text;
use super::kind::Kind;
use super::model::{Evidence, Reading};
use super::row::row;
use super::words;
use crate::body::Packed;
use crate::hex::hex;
use serde_json::{Value, json};

/// A reading hook in the log.
pub const READING: &str = "
INSERT INTO log (place, platform, service_id, hook, provider, server, state, fault, summary, attempts, started_at, ended_at)
VALUES ({place :id}, :platform, :service_id, :hook, :provider, :server, :state, :fault, :summary, 1, :started_at, :ended_at)
ON CONFLICT DO NOTHING";

/// An attempt that began or ended; what is known later wins, and an end is never forgotten.
pub const ATTEMPT: &str = "
INSERT INTO attempt (owner, run, started_at, ended_at, \"end\", fault)
VALUES (:owner, :run, :started_at, :ended_at, :end, :fault)
ON CONFLICT (owner, run) DO UPDATE
SET ended_at = excluded.ended_at, \"end\" = excluded.\"end\", fault = excluded.fault
WHERE excluded.ended_at IS NOT NULL OR attempt.ended_at IS NULL";

/// An exchange, without its bodies.
pub const EXCHANGE: &str = "
INSERT INTO exchange (owner, run, seq, step, purpose, method, url, \"left\", status, failure, started_at, duration_us,
    request_headers, reply_headers)
VALUES (:owner, :run, :seq, :step, :purpose, :method, :url, :left,
    :status, :failure, :started_at, :duration_us, :request_headers, :reply_headers)
ON CONFLICT DO NOTHING";

/// The packed bodies of an exchange.
pub const BODY: &str = "
INSERT INTO body (owner, run, seq, request_codec, request, request_cut, reply_codec, reply, reply_cut)
VALUES (:owner, :run, :seq, :request_codec, @request, :request_cut, :reply_codec, @reply, :reply_cut)
ON CONFLICT DO NOTHING";

/// A line.
pub const NOTE: &str = "
INSERT INTO note (owner, run, at, kind, text)
VALUES (:owner, :run, :at, :kind, :text)";

/// Adds the rows.
pub fn rows(command: &mut Command, evidence: &Evidence) {
    for attempt in &evidence.attempts {
        let fault = attempt.fault.as_ref().map(|fault| json!(fault).to_string());
        let row = row!({
            "owner": attempt.owner, "run": attempt.run, "started_at": attempt.started_at,
            "ended_at": attempt.ended_at, "end": attempt.end, "fault": fault,
        });
        command.row(Kind::Attempt, row);
        command.tells_of(&attempt.owner);
    }
    for exchange in &evidence.exchanges {
        let row = row!({
            "owner": exchange.owner, "run": exchange.run, "seq": exchange.seq, "step": exchange.step,
            "purpose": exchange.purpose, "method": exchange.method, "url": exchange.url, "left": exchange.left,
            "status": exchange.status, "failure": exchange.failure, "started_at": exchange.started_at,
            "duration_us": exchange.duration_us,
            "request_headers": json_text(&exchange.request_headers),
            "reply_headers": json_text(&exchange.reply_headers),
        });
        command.row(Kind::Exchange, row);
        command.tells_of(&exchange.owner);
        let (request, request_codec, request_cut) = body(command, exchange.request_body.as_ref());
        let (reply, reply_codec, reply_cut) = body(command, exchange.reply_body.as_ref());
        if request.is_some() || reply.is_some() {
            let row = row!({
                "owner": exchange.owner, "run": exchange.run, "seq": exchange.seq,
                "request": request, "request_codec": request_codec, "request_cut": request_cut,
                "reply": reply, "reply_codec": reply_codec, "reply_cut": reply_cut,
            });
            command.row(Kind::Body, row);
        }
    }
    for note in &evidence.notes {
        let row = row!({
            "owner": note.owner, "run": note.run, "at": note.at, "kind": note.kind, "text": note.text,
        });
        command.row(Kind::Note, row);
        command.tells_of(&note.owner);
    }
}

/// Where the packed body is, how it is packed, and what of it was cut.
fn body(command: &mut Command, packed: Option<&Packed>) -> (Option<Slice>, Value, Option<String>) {
    let Some(packed) = packed else { return (None, Value::Null, None) };
    let cut =
        packed.cut.as_ref().map(|whole| json!({ "length": whole.length, "sha256": hex(&whole.sha256) }).to_string());
    (Some(command.bytes(&packed.bytes)), json!(packed.codec), cut)
}

/// Adds the log row of a reading hook.
pub fn reading(command: &mut Command, reading: &Reading) {
    let mut row = row!({
        "id": reading.id, "platform": reading.platform, "service_id": reading.service_id, "hook": reading.hook,
        "provider": reading.provider, "server": reading.server, "state": reading.state,
        "fault": reading.fault.as_ref().map(|fault| fault.class), "summary": reading.summary,
        "started_at": reading.started_at, "ended_at": reading.ended_at,
    });
    let fault = reading.fault.iter().flat_map(words::of_fault);
    let said = [Some(reading.summary.as_str()), reading.service_id.as_deref()].into_iter().flatten();
    words::add(command, &mut row, &reading.id, said.chain(fault));
    command.row(Kind::Reading, row);
    command.makes(&reading.id);
}
