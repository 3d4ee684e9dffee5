//! A billing platform: sends the lives of services, and each hook again until it has its end.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::House;
use crate::clock::{Stopwatch, wait_for};
use crate::http::{self, Request};

/// What becomes of a service; every second one stays as the hook before the last leaves it.
const LIFE: [&str; 4] = ["create", "suspend", "unsuspend", "terminate"];

/// How long a call waits for the end of its hook.
const WAIT_S: u64 = 2;

/// Until a caller that was refused for now goes on.
const PAUSE: Duration = Duration::from_millis(20);

/// Until one whose connection broke does: nobody orders more while nothing answers.
const BROKEN_PAUSE: Duration = Duration::from_millis(250);

/// Until it asks again for a hook that takes its time, or whose connection broke; twice as long each time, up to [`MOST_DOUBLINGS`].
const LATER: Duration = Duration::from_secs(3);
const MOST_DOUBLINGS: u32 = 4;

/// Services whose hooks are not over; beyond that no new ones are begun. What is in doubt stays so for as long as the daemon is
/// killed more often than a panel may work on.
const MOST_OPEN: usize = 40_000;

#[derive(Debug, Clone)]
struct Service {
    number: usize,
    stage: usize,
    /// Since its last call, and how long nothing is to be asked.
    rests: Option<(Stopwatch, Duration)>,
    /// How often its hook was asked for without its end.
    tries: u32,
}

impl Service {
    fn hook(&self) -> &'static str {
        LIFE[self.stage]
    }

    fn name(&self) -> String {
        format!("svc-{}", self.number)
    }

    fn stays(&self) -> bool {
        self.number.is_multiple_of(2)
    }

    /// Is not to be asked for a while.
    fn rest(&mut self) {
        self.rests = Some((Stopwatch::start(), LATER * 2_u32.pow(self.tries.min(MOST_DOUBLINGS))));
        self.tries += 1;
    }

    fn is_over(&self) -> bool {
        self.stage == LIFE.len() - usize::from(self.stays())
    }
}

/// What the daemon said of an operation at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It has it.
    Accepted,
    /// It succeeded.
    Done,
}

/// Shared by its callers and by whoever breaks things meanwhile.
pub(super) struct Platform {
    /// One for each host; calls go to any of them.
    sockets: Vec<PathBuf>,
    /// Where several hosts work, a hook may wait for a proof that one has ended, which comes by itself.
    seen_in_attention: AtomicUsize,
    calls: AtomicUsize,
    waiting: Mutex<VecDeque<Service>>,
    busy: AtomicUsize,
    begun: AtomicUsize,
    over: AtomicUsize,
    ended: AtomicUsize,
    broken: AtomicUsize,
    refused: AtomicUsize,
    /// No new services.
    closing: AtomicBool,
    /// There is nothing left to call for.
    abandoned: AtomicBool,
    said: Mutex<BTreeMap<String, Said>>,
    failures: Mutex<Vec<String>>,
    /// Between two hooks of a caller.
    rest: Duration,
}

impl Platform {
    pub(super) fn new(house: &House, rest: Duration) -> Self {
        Self::at(vec![house.socket()], rest)
    }

    /// That sends to several hosts.
    pub(super) fn of_many(sockets: Vec<PathBuf>) -> Self {
        Self::at(sockets, Duration::ZERO)
    }

    fn at(sockets: Vec<PathBuf>, rest: Duration) -> Self {
        Self {
            sockets,
            seen_in_attention: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            waiting: Mutex::default(),
            busy: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            over: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            said: Mutex::default(),
            failures: Mutex::default(),
            rest,
        }
    }

    /// Runs `callers` while `meanwhile` does what it does, then until every service is over, at most for `limit`.
    pub(super) fn run<T>(
        &self,
        callers: usize,
        limit: Duration,
        meanwhile: impl FnOnce() -> Result<(T, super::house::Daemon)>,
    ) -> Result<(T, super::house::Daemon)> {
        thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| self.call());
            }
            let found = meanwhile();
            self.closing.store(true, Ordering::Release);
            let (found, mut daemon) = found.inspect_err(|_| self.abandon())?;
            let ended = wait_for("every hook to end", limit, || {
                daemon.check()?;
                Ok(self.is_idle().then_some(()))
            });
            if let Err(error) = ended {
                let left: Vec<String> =
                    self.waiting().iter().take(5).map(|it| format!("{} {}", it.name(), it.hook())).collect();
                self.abandon();
                return Err(error.context(format!("left: {left:?}")));
            }
            Ok((found, daemon))
        })
    }

    /// Lets the callers go, whatever is left to do.
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    fn is_idle(&self) -> bool {
        self.waiting().is_empty() && self.busy.load(Ordering::Acquire) == 0
    }

    /// Hooks that have ended.
    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// Calls that were refused for now (503).
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }

    /// How often a hook was seen to wait for a person.
    pub(super) fn seen_in_attention(&self) -> usize {
        self.seen_in_attention.load(Ordering::Acquire)
    }

    /// The next host to be called.
    fn socket(&self) -> &PathBuf {
        let call = self.calls.fetch_add(1, Ordering::AcqRel);
        &self.sockets[call % self.sockets.len()]
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Service>> {
        lock(&self.waiting)
    }

    fn call(&self) {
        while !self.abandoned.load(Ordering::Acquire) {
            let (next, open) = {
                let mut waiting = self.waiting();
                let ready = waiting.iter().position(|it| it.rests.is_none_or(|(since, rest)| since.elapsed() >= rest));
                let next = ready.and_then(|index| waiting.remove(index));
                if next.is_some() {
                    self.busy.fetch_add(1, Ordering::AcqRel);
                }
                (next, waiting.len())
            };
            let is_closing = self.closing.load(Ordering::Acquire);
            let service = match next {
                Some(service) => service,
                None if is_closing && self.is_idle() => return,
                None if is_closing || open >= MOST_OPEN => {
                    thread::sleep(PAUSE);
                    continue;
                }
                None => {
                    self.busy.fetch_add(1, Ordering::AcqRel);
                    Service { number: self.begun.fetch_add(1, Ordering::AcqRel), stage: 0, rests: None, tries: 0 }
                }
            };
            self.advance(service);
            self.busy.fetch_sub(1, Ordering::AcqRel);
            thread::sleep(self.rest);
        }
    }

    /// One call for the service's next hook.
    fn advance(&self, mut service: Service) {
        let said = self.send(&service);
        let mut pause = Duration::ZERO;
        service.rests = None;
        match said {
            Ok((200, body)) => {
                if let Some(id) = body["operation"]["id"].as_str() {
                    lock(&self.said).insert(id.to_owned(), Said::Done);
                }
                self.ended.fetch_add(1, Ordering::AcqRel);
                service.stage += 1;
                service.tries = 0;
                if service.is_over() {
                    self.over.fetch_add(1, Ordering::AcqRel);
                    return;
                }
            }
            Ok((202, body)) => {
                if let Some(id) = body["operation"]["id"].as_str() {
                    lock(&self.said).insert(id.to_owned(), Said::Accepted);
                }
                service.rest();
                let reason = body["operation"]["reason"].as_str().unwrap_or_default();
                if self.sockets.len() > 1 && reason.contains("billhook hosts dead") {
                    self.seen_in_attention.fetch_add(1, Ordering::AcqRel);
                } else if body["operation"]["state"] == "attention" {
                    return self.fail(&service, &format!("needs a person: {}", body["operation"]["reason"]));
                }
            }
            Ok((503, _)) => {
                self.refused.fetch_add(1, Ordering::AcqRel);
                pause = PAUSE;
            }
            Ok((status, body)) => return self.fail(&service, &format!("{status}: {body}")),
            Err(_) => {
                self.broken.fetch_add(1, Ordering::AcqRel);
                service.rest();
                pause = BROKEN_PAUSE;
            }
        }
        thread::sleep(pause);
        self.waiting().push_back(service);
    }

    fn fail(&self, service: &Service, why: &str) {
        lock(&self.failures).push(format!("{} {}: {why}", service.name(), service.hook()));
    }

    fn send(&self, service: &Service) -> Result<(u16, Value)> {
        let name = service.name();
        let mut body = json!({ "service": { "id": name } });
        if service.stage == 0 {
            body["service"]["client_id"] = (100 + service.number).to_string().into();
            body["service"]["domain"] = format!("{name}.example.net").into();
            body["client"] = json!({ "name": format!("Customer {}", service.number),
                "email": format!("customer{}@example.net", service.number) });
            body["product"] = json!({ "id": "vps-small" });
        }
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", format!("{name}-{}", service.hook())),
            ("prefer", format!("wait={WAIT_S}")),
        ];
        let path = format!("/v1/hooks/{}", service.hook());
        let limit = Duration::from_secs(WAIT_S + 30);
        let request = Request { method: "POST", path: &path, headers: &headers, body: &body.to_string(), limit };
        let reply = http::over_socket(self.socket(), &request)?;
        Ok((reply.status, reply.body))
    }

    /// Asks for operations that the daemon has said to have: all, or the last and some of the others. How many were asked for.
    pub(super) fn ask_for(&self, pick: impl Fn(usize, usize) -> bool) -> Result<usize> {
        let said: Vec<(String, Said)> = {
            let said = lock(&self.said);
            let count = said.len();
            said.iter()
                .enumerate()
                .filter(|(index, _)| pick(*index, count))
                .map(|(_, it)| (it.0.clone(), *it.1))
                .collect()
        };
        for (id, said) in &said {
            let path = format!("/v1/operations/{id}");
            let request =
                Request { method: "GET", path: &path, headers: &[], body: "", limit: Duration::from_secs(30) };
            let reply = http::over_socket(self.socket(), &request)?;
            ensure!(
                reply.status == 200,
                "operation {id} was acknowledged and is lost: {} {}",
                reply.status,
                reply.body
            );
            let state = reply.body["operation"]["state"].as_str().unwrap_or_default();
            ensure!(*said == Said::Accepted || state == "succeeded", "operation {id} had succeeded and is {state}");
        }
        Ok(said.len())
    }

    /// Compares with the panel, which knows what is there, and prints the counts.
    pub(super) fn judge(&self, house: &House) -> Result<()> {
        let failures = lock(&self.failures).clone();
        let begun = self.begun.load(Ordering::Acquire);
        let (made, there) = (house.panel.made()?, house.panel.servers()?.len());
        let stay = (0..begun).filter(|number| number.is_multiple_of(2)).count();
        println!(
            "  {} hooks of {begun} services; {} calls without an answer, {} refused for now; {made} servers were made, {there} \
             are there",
            self.ended(),
            self.broken.load(Ordering::Acquire),
            self.refused(),
        );
        ensure!(failures.is_empty(), "{} hooks failed: {:#?}", failures.len(), &failures[..failures.len().min(5)]);
        ensure!(self.over.load(Ordering::Acquire) == begun, "services were left over");
        ensure!(made == begun, "{begun} services were ordered and {made} servers made");
        ensure!(there == stay, "{stay} services stay and {there} servers are there");
        let complaints = house.panel.complaints()?;
        ensure!(
            complaints.is_empty(),
            "the panel complains {} times: {:#?}",
            complaints.len(),
            &complaints[..complaints.len().min(5)]
        );
        let asked = self.ask_for(|_, _| true).context("in the end")?;
        println!("  {asked} operations were acknowledged, and all are there");
        Ok(())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
