//! The transaction as a function of the database.
//!
//! On Postgres each statement that is sent costs a round trip. So the statements of [`kind`] stand in one function,
//! which carries a whole batch of commands out, one after the other, each judged by what those before it have written. Its
//! name holds a hash of its text: hosts of two versions use one database side by side.

use crate::hex::hex;
use crate::store::dialect::Dialect;
use crate::store::kind::{self, Kind, Role, Statement};
use crate::store::notices::CHANNEL;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::LazyLock;

/// What keeps the transactions of all hosts serial, and migrations: the advisory lock of this number.
pub const SERIAL: i64 = 0x0062_696c_6c68_0001;

/// The most bytes of ids in one notice to other hosts.
const LONGEST_NOTICE: usize = 7000;

/// Members that are numbers. What is in none of these lists is a text.
const NUMBERS: [&str; 24] = [
    "version",
    "epoch",
    "seq",
    "now",
    "expires_at",
    "most",
    "journal_version",
    "run",
    "attempts",
    "next_at",
    "counts",
    "position",
    "runs",
    "count",
    "ends_at",
    "poll_at",
    "unsettled_ms",
    "older_than",
    "started_at",
    "ended_at",
    "duration_us",
    "at",
    "number",
    "request_codec",
];
const TRUTHS: [&str; 18] = [
    "claimed",
    "cancelling",
    "touches",
    "touched",
    "doubted",
    "final",
    "has_secrets",
    "moves",
    "cancel_asked",
    "fresh_attempts",
    "sealed",
    "effect",
    "gone",
    "sets_poll",
    "sets_pending",
    "left",
    "is_entry",
    "exchanges",
];
const LISTS: [&str; 4] = ["passes", "cancels", "ids", "lines"];

/// The type of a member of the rows of a kind.
fn type_of(kind: Kind, member: &str) -> &'static str {
    match (kind, member) {
        (Kind::Exchange, "status") | (Kind::Body, "reply_codec") => "bigint",
        (Kind::Step | Kind::Begin | Kind::SteerEntry, "remote_id") => "boolean",
        (_, member) if NUMBERS.contains(&member) => "bigint",
        (_, member) if TRUTHS.contains(&member) => "boolean",
        (_, member) if LISTS.contains(&member) => "jsonb",
        _ => "text",
    }
}

/// The function's name, in the schema of the tables.
pub fn name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = hex(&Sha256::digest(body()));
        format!("apply_{}", &hash[..16])
    });
    &NAME
}

/// What makes the function.
pub fn create() -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {}(p_host text, p_batch bigint, p_commands jsonb, p_bytes bytea[]) RETURNS text
         LANGUAGE plpgsql VOLATILE AS $billhook$\n{}$billhook$",
        name(),
        body()
    )
}

fn body() -> &'static str {
    static BODY: LazyLock<String> = LazyLock::new(write_body);
    &BODY
}

fn write_body() -> String {
    let statements = kind::statements(Dialect::Postgres);
    let deciders: BTreeSet<Kind> =
        statements.iter().filter(|one| matches!(one.role, Role::Decides { .. })).filter_map(|one| one.kind).collect();
    let mut text = "
#variable_conflict use_column
DECLARE
    q_command jsonb;
    q_bytes bytea;
    q_rows jsonb;
    q_row jsonb;
    q_answer jsonb;
    q_answers jsonb[] := '{}';
    q_batch bigint;
    q_fates text;
    q_told jsonb := '[]';
    q_notice text;
"
    .to_owned();
    for kind in &deciders {
        let name = variable(*kind);
        push(&mut text, &format!("    {name}_word text; {name}_a bigint; {name}_b bigint; {name}_detail text;"));
    }
    push(
        &mut text,
        &format!(
            "BEGIN
    -- A statement of its own, so that those behind it see all that was committed before the lock was given.
    PERFORM pg_advisory_xact_lock({SERIAL});
    SELECT number, fates INTO q_batch, q_fates FROM batch WHERE host = p_host;
    IF q_batch = p_batch THEN
        -- The connection was lost before the answer came.
        RETURN q_fates;
    ELSIF q_batch > p_batch THEN
        RAISE EXCEPTION 'this batch was given up by its host' USING ERRCODE = 'query_canceled';
    END IF;
    FOR q_number IN 0 .. jsonb_array_length(p_commands) - 1 LOOP
        q_command := p_commands -> q_number;
        q_bytes := p_bytes[q_number + 1];
        q_told := q_told || coalesce(q_command -> 't', '[]');
        q_answer := NULL;"
        ),
    );
    for kind in &deciders {
        push(&mut text, &format!("        {}_word := NULL;", variable(*kind)));
    }
    let mut rest = statements;
    while let Some(first) = rest.first() {
        let (group, others) = rest.split_at(rest.iter().take_while(|one| one.kind == first.kind).count());
        write_group(&mut text, first.kind, group);
        rest = others;
    }
    push(
        &mut text,
        &format!("        q_answers := array_append(q_answers, coalesce(q_answer, 'null'));
    END LOOP;
    q_fates := to_jsonb(q_answers)::text;
    -- Once for all of it, and only where somebody hears it, since commits that tell something wait for each other.
    IF q_told <> '[]' AND EXISTS (SELECT 1 FROM host h WHERE h.ended IS NULL AND h.id <> p_host) THEN
        SELECT string_agg(CASE WHEN o.id IS NULL THEN '' ELSE '+' END || told.id, ' ') INTO q_notice
        FROM (SELECT DISTINCT value AS id FROM jsonb_array_elements_text(q_told)) AS told
            LEFT JOIN operation o ON o.id = told.id AND o.state IN ('queued', 'waiting');
        -- A notice holds 8000 bytes.
        PERFORM pg_notify('{CHANNEL}', p_host || ' ' || CASE WHEN length(q_notice) > {LONGEST_NOTICE} THEN '*' ELSE q_notice END);
    END IF;
    INSERT INTO batch (host, number, fates, at) VALUES (p_host, p_batch, q_fates, now())
    ON CONFLICT (host) DO UPDATE SET number = excluded.number, fates = excluded.fates, at = excluded.at;
    RETURN q_fates;
END"),
    );
    text
}

/// Statements for the same rows: for each row of a kind, or for each moved operation.
fn write_group(text: &mut String, kind: Option<Kind>, group: &[Statement]) {
    let mut variables = BTreeMap::new();
    let statements: Vec<String> = group.iter().map(|one| write_statement(one, &mut variables)).collect();
    let rows = kind.map_or("'m'".to_owned(), |kind| format!("'k' -> '{kind:?}'"));
    push(text, &format!("        q_rows := q_command -> {rows};"));
    push(text, "        FOR q_line IN 0 .. coalesce(jsonb_array_length(q_rows), 0) - 1 LOOP");
    push(text, "            q_row := q_rows -> q_line;\n            DECLARE");
    for (name, value) in variables {
        push(text, &format!("                {name} {value};"));
    }
    push(text, "            BEGIN");
    for statement in statements {
        push(text, &statement);
    }
    push(text, "            END;\n        END LOOP;");
}

fn write_statement(statement: &Statement, variables: &mut BTreeMap<String, String>) -> String {
    let Statement { kind, role, text } = statement;
    let decider = match role {
        Role::Follows(decider, _) => Some(*decider),
        Role::Decides { .. } | Role::Writes => None,
    };
    let text = named(text, |sign, name| match (sign, name, kind, decider) {
        (':', "host", ..) => "p_host".to_owned(),
        (':', "ended", ..) => format!("{}_word", variable(Kind::Finish)),
        (':', "word" | "a" | "b" | "detail", _, Some(decider)) => format!("{}_{name}", variable(decider)),
        (':', name, None, _) => {
            variables.insert(format!("m_{name}"), "text := q_row #>> '{}'".to_owned());
            format!("m_{name}")
        }
        (':', name, Some(kind), _) => {
            let value = match type_of(*kind, name) {
                "text" => format!("text := q_row ->> '{name}'"),
                "jsonb" => format!("jsonb := q_row -> '{name}'"),
                other => format!("{other} := (q_row ->> '{name}')::{other}"),
            };
            variables.insert(format!("m_{name}"), value);
            format!("m_{name}")
        }
        (_, name, ..) => {
            let place = |at: u8| format!("(q_row -> '{name}' ->> {at})::integer");
            variables.insert(format!("b_{name}"), format!("bytea := substr(q_bytes, {} + 1, {})", place(0), place(1)));
            format!("b_{name}")
        }
    });
    match (role, kind) {
        (Role::Decides { answers }, Some(kind)) => {
            let name = variable(*kind);
            let answer = match answers {
                true => format!(
                    "\n                IF {name}_word IS NOT NULL THEN
                    q_answer := jsonb_build_array({name}_word, {name}_a, {name}_b, {name}_detail);
                END IF;"
                ),
                false => String::new(),
            };
            format!("{text} INTO {name}_word, {name}_a, {name}_b, {name}_detail;{answer}")
        }
        (Role::Follows(decider, number), _) => {
            let name = variable(*decider);
            let and = number.condition(&format!("{name}_a"));
            format!("                IF {name}_word IN ('yes', 'taken'){and} THEN\n{text};\n                END IF;")
        }
        _ => format!("{text};"),
    }
}

/// The text with each `:name` and `@name` replaced.
fn named(text: &str, mut by: impl FnMut(char, &str) -> String) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([':', '@']) {
        let (before, from) = rest.split_at(at);
        replaced.push_str(before);
        let sign = if from.starts_with(':') { ':' } else { '@' };
        let name: &str = &from[1..];
        let name = &name[..name.find(|c: char| c != '_' && !c.is_ascii_lowercase()).unwrap_or(name.len())];
        if name.is_empty() {
            // A cast has two colons, and a type behind them.
            let signs = from.len() - from.trim_start_matches(sign).len();
            let cast = &from[signs..];
            let kept = signs + cast.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(cast.len());
            replaced.push_str(&from[..kept]);
            rest = &from[kept..];
        } else {
            replaced.push_str(&by(sign, name));
            rest = &from[1 + name.len()..];
        }
    }
    replaced + rest
}

fn variable(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn push(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_casts_are_not() {
        let text = named("a = :now AND b = (:ids)::jsonb AND @call || 'x'", |sign, name| format!("<{sign}{name}>"));
        assert_eq!(text, "a = <:now> AND b = (<:ids>)::jsonb AND <@call> || 'x'");
    }

    /// The text with numbered parameters, and their types.
    fn prepared(statement: &Statement) -> (String, Vec<&'static str>) {
        let mut types = Vec::new();
        let text = named(&statement.text, |sign, name| {
            types.push(match (sign, name, statement.kind) {
                ('@', ..) => "bytea",
                (_, "a" | "b", _) => "bigint",
                (_, "host" | "ended" | "word" | "detail", _) | (.., None) => "text",
                (_, name, Some(kind)) => type_of(kind, name),
            });
            format!("${}", types.len())
        });
        (text, types)
    }

    #[tokio::test]
    async fn the_server_takes_every_statement_and_reads_no_whole_table_for_it() {
        use crate::store::address;
        use crate::store::behaviour::cluster::Database;
        use sqlx::{AssertSqlSafe, Executor, Row};
        // Of few rows.
        const SMALL: [&str; 4] = ["backlog", "store", "host", "unproven"];
        // Tables of a busy year, as far as a planner can tell: a plan for empty ones says nothing.
        const FILL: &str = "
            DO $$ DECLARE one record; BEGIN
                FOR one IN
                    SELECT table_name AS name, string_agg(quote_ident(column_name), ',') AS columns,
                        string_agg(CASE
                            WHEN column_name = 'platform' THEN $q$'p'$q$
                            WHEN column_name = 'service_id' AND table_name <> 'service' THEN $q$'s' || n % 200$q$
                            WHEN column_name = 'ended' THEN 'NULL'
                            WHEN column_name = 'state' THEN $q$CASE WHEN n % 9 = 0 THEN 'failed' ELSE 'succeeded' END$q$
                            WHEN data_type = 'text' THEN $q$'x' || n$q$
                            WHEN data_type = 'boolean' THEN 'FALSE'
                            WHEN data_type = 'bytea' THEN $q$''::bytea$q$
                            WHEN data_type = 'tsvector' THEN $q$'x'::tsvector$q$
                            ELSE 'n' END, ',') AS cells
                    FROM information_schema.columns
                    WHERE table_schema = 'billhook' AND is_identity = 'NO'
                      AND table_name NOT IN ('store', 'batch', 'backlog') GROUP BY 1
                LOOP
                    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM generate_series(1, 10000) AS n',
                        one.name, one.columns, one.cells);
                END LOOP;
            END $$;
            ANALYZE";
        let database = Database::with_tables().await;
        database.run(FILL).await;
        let mut db = database.connect().await;
        for (name, value) in address::SETTINGS.into_iter().chain(address::WRITING) {
            db.execute(sqlx::raw_sql(AssertSqlSafe(format!("SET {name} = '{value}'")))).await.unwrap();
        }
        let mut wrong = Vec::new();
        for statement in kind::statements(Dialect::Postgres) {
            let (text, types) = prepared(statement);
            let (types, nothing) = match types.len() {
                0 => (String::new(), String::new()),
                many => (format!("({})", types.join(", ")), format!("({})", vec!["NULL"; many].join(", "))),
            };
            let prepare = format!("DEALLOCATE ALL; PREPARE one {types} AS {text}");
            let prepared = db.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await;
            assert!(prepared.is_ok(), "{:?}\n{text}", prepared.err());
            let plan = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE one {nothing}"))).fetch_all(&mut db).await;
            let plan: Vec<String> = plan.unwrap().iter().map(|step| step.get(0)).collect();
            // A step, and behind it what is said of it.
            let steps = plan.join("\n");
            for step in steps.split("->") {
                let (what, more) = step.split_once('\n').unwrap_or((step, ""));
                let is_looked_up = more.contains("Index Cond");
                // What is unfinished is little, and has an index to itself.
                let is_small = what.contains("using operation_open")
                    || SMALL.iter().any(|table| what.contains(&format!(" on {table} ")));
                let is_whole = what.contains("Seq Scan") || what.contains("Index") && !is_looked_up;
                if is_whole && !is_small || what.contains("operation_seq") {
                    wrong.push(format!("{what}\n{steps}\n{text}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    #[test]
    fn every_member_is_declared_and_nothing_is_left_to_be_bound() {
        let text = create();
        assert!(!text.replace("::", "").replace(":=", "").contains([':', '@']), "{text}");
        assert!(text.contains("m_now bigint := (q_row ->> 'now')::bigint"));
        assert!(name().len() == "apply_".len() + 16);
    }
}
