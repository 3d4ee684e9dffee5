//! Callers that each send their next request as soon as the last one is answered, all on one thread.

use crate::clock::Stopwatch;
use crate::http::{Connection, Target, post};
use crate::sample;
use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;

/// What is sent.
#[derive(Debug, Clone)]
pub enum Work {
    /// Calls to the panel itself, without anything between.
    Raw,
    /// These hooks in turn, each caller on a service of its own.
    Hooks {
        /// Their names.
        hooks: Vec<String>,
        /// The services are called so, with the caller's number behind.
        prefix: String,
    },
    /// One create for each of the services, shared out among the callers.
    Creates {
        /// As for hooks.
        prefix: String,
        /// The product to create.
        product: String,
    },
}

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After as many requests.
    Count(usize),
}

/// All that is to be known of one measurement.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who is asked.
    pub target: Target,
    /// For what.
    pub work: Work,
    /// By how many callers.
    pub callers: usize,
    /// For how long.
    pub until: Until,
    /// Part of every key, so that no two measurements have one in common.
    pub run: String,
    /// How long each caller is ready to wait, in the words of the header `Prefer`; the daemon's own choice when absent.
    pub prefer: Option<String>,
    /// The status that counts as success.
    pub expect: u16,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Requests that were answered as expected.
    pub count: usize,
    /// The others.
    pub failed: usize,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Answers in a second.
    pub rate: f64,
    /// Half of the answers took no longer, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 answers took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Of the first answer that was not as expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
}

/// Carries the plan out.
///
/// # Errors
///
/// When a connection cannot be made or breaks; an answer of another status is counted instead.
pub async fn run(plan: &Plan) -> Result<Figures> {
    if plan.callers == 0 {
        bail!("nobody calls");
    }
    let connections = try_join_all((0..plan.callers).map(|_| Connection::open(&plan.target))).await?;
    let sent = Cell::new(0);
    let watch = Stopwatch::start();
    let callers =
        connections.into_iter().enumerate().map(|(caller, connection)| call(plan, caller, connection, watch, &sent));
    let heard = try_join_all(callers).await?;
    let seconds = watch.elapsed().as_secs_f64();
    Ok(figures(heard, seconds))
}

#[derive(Debug, Default)]
struct Heard {
    times_us: Vec<u64>,
    failed: usize,
    first_failure: Option<String>,
}

async fn call(
    plan: &Plan,
    caller: usize,
    mut connection: Connection,
    watch: Stopwatch,
    sent: &Cell<usize>,
) -> Result<Heard> {
    let mut heard = Heard::default();
    for turn in 0.. {
        let number = sent.get();
        let is_over = match plan.until {
            Until::Time(time) => watch.elapsed() >= time,
            Until::Count(count) => number >= count,
        };
        if is_over {
            break;
        }
        sent.set(number + 1);
        let request = request(plan, caller, turn, number);
        let answered = Stopwatch::start();
        let (status, body) = connection.exchange(&request).await?;
        if status == plan.expect {
            heard.times_us.push(answered.micros());
        } else {
            heard.failed += 1;
            heard.first_failure.get_or_insert_with(|| format!("{status}: {}", String::from_utf8_lossy(body)));
        }
    }
    Ok(heard)
}

/// The request of a caller's `turn`, the `number`th of all.
fn request(plan: &Plan, caller: usize, turn: usize, number: usize) -> Vec<u8> {
    let prefer = plan.prefer.as_ref().map(|words| format!("prefer: {words}\r\n")).unwrap_or_default();
    let headers = |service: &str| format!("idempotency-key: {}-{service}-{turn}\r\n{prefer}", plan.run);
    match &plan.work {
        Work::Raw => post(&format!("/services/{caller}/suspend"), "", &sample::call(caller as u64)),
        Work::Hooks { hooks, prefix } => {
            let (hook, service) = (&hooks[turn % hooks.len()], format!("{prefix}-{caller}"));
            let mut body = json!({ "service": { "id": service } });
            if hook == "suspend" {
                body["reason"] = sample::text(number as u64, 300).into();
            }
            post(&format!("/v1/hooks/{hook}"), &headers(&service), body.to_string().as_bytes())
        }
        Work::Creates { prefix, product } => {
            let service = format!("{prefix}-{number}");
            let body = json!({
                "service": {
                    // A whole number: some panels know their customers by no other name.
                    "id": service, "client_id": (number + 1).to_string(), "username": format!("u{prefix}n{number}"),
                    "domain": format!("{service}.example.net"),
                },
                "client": {
                    "name": "Acme Ltd", "email": format!("ops-{service}@acme.example"), "language": "en",
                },
                "product": { "id": product },
            });
            post("/v1/hooks/create", &headers(&service), body.to_string().as_bytes())
        }
    }
}

fn figures(heard: Vec<Heard>, seconds: f64) -> Figures {
    let failed = heard.iter().map(|heard| heard.failed).sum();
    let first_failure = heard.iter().find_map(|heard| heard.first_failure.clone());
    let mut times: Vec<u64> = heard.into_iter().flat_map(|heard| heard.times_us).collect();
    times.sort_unstable();
    Figures {
        count: times.len(),
        failed,
        seconds,
        rate: times.len() as f64 / seconds,
        p50_us: share(&times, 50),
        p99_us: share(&times, 99),
        max_us: times.last().copied().unwrap_or(0),
        first_failure,
    }
}

/// The time that `percent` of all sorted times do not exceed.
fn share(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_time_that_was_measured() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!((share(&times, 50), share(&times, 99), share(&[7], 99), share(&[], 50)), (100, 198, 7, 0));
    }

    #[test]
    fn each_caller_has_its_service_and_each_request_its_key() {
        let work = Work::Hooks { hooks: vec!["suspend".into(), "unsuspend".into()], prefix: "s".into() };
        let target = Target::Tcp(([127, 0, 0, 1], 1).into());
        let plan =
            Plan { target, work, callers: 2, until: Until::Count(4), run: "r1".into(), prefer: None, expect: 200 };
        let text = |caller, turn| String::from_utf8(request(&plan, caller, turn, 0)).unwrap();

        assert!(text(1, 0).starts_with("POST /v1/hooks/suspend ") && text(1, 0).contains("key: r1-s-1-0\r\n"));
        assert!(text(1, 1).starts_with("POST /v1/hooks/unsuspend ") && text(1, 1).contains("key: r1-s-1-1\r\n"));
        assert!(text(0, 0).contains(r#""id":"s-0""#) && !text(0, 1).contains("reason"));
    }
}
