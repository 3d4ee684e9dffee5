//! A hundred thousand operations wait when the daemon starts: it is ready at once, holds little, answers, and works them off.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::{House, Programs};
use super::platform::lock;
use crate::args::TrialOptions;
use crate::clock::Stopwatch;
use crate::http::{self, Reply, Request};

/// Who sends at once while the rate is taken that the backlog is held against.
const CALLERS: usize = 64;
/// Who leaves the backlog.
const SENDERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const MOST_RESIDENT_KB: u64 = 150 * 1024;
const LEAST_SHARE: f64 = 0.8;
const LONGEST_PAGE: Duration = Duration::from_millis(50);
const LONGEST_START: Duration = Duration::from_secs(1);

pub(super) fn run(programs: &Programs, options: &TrialOptions) -> Result<()> {
    let (services, each, sample) = if options.quick { (100, 50, 500) } else { (1_000, 100, 10_000) };
    let house = House::new(programs, "backlog")?;
    let (daemon, _) = house.start(false)?;
    let desk = Desk { hook: house.socket(), admin: house.socket().with_file_name("admin.sock") };
    let empty = daemon.memory_kb("VmRSS")?;
    spread(SENDERS, services, |number| desk.create(number))?;

    let watch = Stopwatch::start();
    spread(CALLERS, sample, |number| desk.reboot(number % services, &format!("sample-{number}"), true).map(drop))?;
    let rate = sample as f64 / watch.elapsed().as_secs_f64();
    println!("  {rate:.0} hooks a second from {CALLERS} callers");

    desk.steer("pause")?;
    let watch = Stopwatch::start();
    let left: Mutex<Vec<(usize, Vec<String>)>> = Mutex::default();
    spread(SENDERS, services, |service| {
        let ids = (0..each).map(|turn| desk.reboot(service, &format!("left-{service}-{turn}"), false));
        let ids = ids.collect::<Result<Vec<String>>>()?;
        lock(&left).push((service, ids));
        Ok(())
    })?;
    let all = services * each;
    println!("  {all} were left in {:.1} s", watch.elapsed().as_secs_f64());
    daemon.kill()?;

    let (mut daemon, ready) = house.start(false)?;
    println!(
        "  ready after {} ms; {} MB, and {} MB of a daemon with nothing to do",
        ready.as_millis(),
        daemon.memory_kb("VmRSS")? / 1024,
        empty / 1024
    );
    let mut pages = vec![desk.newest()?];
    desk.steer("resume")?;
    let watch = Stopwatch::start();
    while !desk.is_empty()? {
        daemon.check()?;
        pages.push(desk.newest()?);
        thread::sleep(LOOK_EVERY);
    }
    let drain = all as f64 / watch.elapsed().as_secs_f64();
    let peak = daemon.memory_kb("VmHWM")?;
    pages.sort_unstable();
    let (usual, worst) = (pages[pages.len() * 95 / 100], pages[pages.len() - 1]);
    println!(
        "  {drain:.0} a second, {:.2} of that; {} MB at most; the newest 50 of the log in {} ms (95 %), {} ms at worst of {}",
        drain / rate,
        peak / 1024,
        usual.as_millis(),
        worst.as_millis(),
        pages.len()
    );

    for (service, ids) in &*lock(&left) {
        desk.in_order(*service, ids)?;
    }
    println!("  each service had its hooks in their order");
    let complaints = house.panel.complaints()?;
    ensure!(complaints.is_empty(), "the panel complains: {:#?}", &complaints[..complaints.len().min(5)]);
    daemon.stop()?;
    ensure!(peak <= MOST_RESIDENT_KB, "it held {peak} KB");
    ensure!(drain >= rate * LEAST_SHARE, "it worked off {drain:.0} a second, and {rate:.0} come from callers");
    // Of what is not optimised the times say nothing.
    ensure!(options.dev || ready <= LONGEST_START, "it was ready after {} ms only", ready.as_millis());
    ensure!(options.dev || usual <= LONGEST_PAGE, "a page of the log took {} ms", usual.as_millis());
    Ok(())
}

/// Does it for each number, so many at once.
fn spread(threads: usize, count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        let one = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                work(number)?;
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?)
    })
}

/// The daemon's two sockets.
struct Desk {
    hook: PathBuf,
    admin: PathBuf,
}

impl Desk {
    fn send(&self, hook: &str, body: &Value, key: &str, waits: bool) -> Result<Reply> {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", key.to_owned()),
            ("prefer", if waits { "wait=55".to_owned() } else { "respond-async".to_owned() }),
        ];
        let path = format!("/v1/hooks/{hook}");
        let request = Request { method: "POST", path: &path, headers: &headers, body: &body.to_string(), limit: LIMIT };
        http::over_socket(&self.hook, &request)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value> {
        let request = Request { method, path, headers: &[], body: "", limit: LIMIT };
        let reply = http::over_socket(&self.admin, &request)?;
        ensure!(reply.status == 200, "{method} {path}: {} {}", reply.status, reply.body);
        Ok(reply.body)
    }

    fn create(&self, number: usize) -> Result<()> {
        let body = json!({
            "service": { "id": format!("svc-{number}"), "client_id": (100 + number).to_string(),
                "domain": format!("svc-{number}.example.net") },
            "client": { "name": format!("Customer {number}"), "email": format!("customer{number}@example.net") },
            "product": { "id": "vps-small" },
        });
        let reply = self.send("create", &body, &format!("create-{number}"), true)?;
        ensure!(reply.status == 200, "a create ended with {}: {}", reply.status, reply.body);
        Ok(())
    }

    /// The id of its operation.
    fn reboot(&self, service: usize, key: &str, waits: bool) -> Result<String> {
        let body = json!({ "service": { "id": format!("svc-{service}") }, "power": "reboot" });
        let reply = self.send("power", &body, key, waits)?;
        let expected = if waits { 200 } else { 202 };
        ensure!(reply.status == expected, "a reboot ended with {}: {}", reply.status, reply.body);
        reply.body["operation"]["id"].as_str().map(str::to_owned).context("an operation has an id")
    }

    fn steer(&self, how: &str) -> Result<()> {
        self.ask("POST", &format!("/v1/servers/panel/{how}")).map(drop)
    }

    fn is_empty(&self) -> Result<bool> {
        for state in ["queued", "running", "waiting"] {
            let found = self.ask("GET", &format!("/v1/operations?state={state}&limit=1"))?;
            if found["items"].as_array().is_none_or(|items| !items.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How long the newest page of the log takes.
    fn newest(&self) -> Result<Duration> {
        let watch = Stopwatch::start();
        let page = self.ask("GET", "/v1/log?limit=50")?;
        let time = watch.elapsed();
        ensure!(page["items"].as_array().is_some_and(|items| items.len() == 50), "a page of the log is short");
        Ok(time)
    }

    /// Whether the service's operations all succeeded, each ending after the one before it.
    fn in_order(&self, service: usize, ids: &[String]) -> Result<()> {
        let page = self.ask("GET", &format!("/v1/services/trial/svc-{service}/timeline?limit={}", ids.len()))?;
        let items = page["items"].as_array().context("a timeline has items")?;
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for item in items.iter().rev() {
            ensure!(item["state"] == "succeeded", "{item}");
            seen.push((item["id"].as_str().unwrap_or_default(), item["ended_at"].as_str().unwrap_or_default()));
        }
        ensure!(seen.iter().map(|(id, _)| *id).eq(ids.iter().map(String::as_str)), "svc-{service}: not what was sent");
        ensure!(seen.is_sorted_by_key(|(_, ended)| *ended), "svc-{service} had its hooks in another order");
        Ok(())
    }
}
