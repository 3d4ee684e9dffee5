//! The daemon with its store in a file, on a Postgres server, and there with two more daemons beside it. For information.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::build::Programs;
use super::compare::{self, CALLERS};
use super::figures::{Figure, Load, Results, Until};
use super::house::{Daemon, House, get, sandbox_of};
use super::medium::{Medium, Pace};
use super::program::Used;
use super::server::Server;
use crate::http;

pub(super) const SQLITE: &str = "sqlite, 1 host";
const POSTGRES: &str = "postgres, 1 host";
const HOSTS: &str = "postgres, 3 hosts";
pub(super) const VARIANTS: [&str; 3] = [SQLITE, POSTGRES, HOSTS];

/// Three hosts share a lane: each has as many places as callers.
const PLACES: usize = 66;
const MOST_CALLERS: usize = 64;

/// Hosts have seen each other by then, and programs have given back what they started with.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures on every medium.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
    Medium::ALL.into_iter().try_for_each(|medium| measure(programs, medium, work, pace, results))
}

fn measure(programs: &Programs, medium: Medium, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
    let folder = medium.folder(work, "panel")?;
    let (_panel, address) = compare::panel(programs, folder.path())?;
    let server = Server::start(medium, work, &programs.preload)?;
    let open = |name, hosts: &[&'static str], database: Option<&str>| {
        let url = database.map(|database| server.database(database));
        Variant::open(programs, medium, work, &address, name, hosts, url.as_deref())
    };
    let mut variants = [
        open(SQLITE, &["f"], None)?,
        open(POSTGRES, &["p"], Some("one"))?,
        open(HOSTS, &["a", "b", "c"], Some("three"))?,
    ];
    thread::sleep(SETTLE);
    // Round 0 warms everything up and does not count.
    for round in 0..=pace.rounds {
        for callers in CALLERS {
            for at in 0..variants.len() {
                // Another one begins in every round, so that none always follows the same neighbour.
                let variant = &mut variants[(at + round) % VARIANTS.len()];
                let millis = if round == 0 { pace.millis / 4 } else { pace.millis };
                let figure = variant.measure(programs, &server, medium, callers, round, millis)?;
                if round > 0 {
                    results.figures.push(figure);
                }
            }
        }
    }
    variants.into_iter().try_for_each(Variant::close)
}

/// A store with its hosts.
struct Variant {
    name: &'static str,
    hosts: Vec<Host>,
    is_on_server: bool,
    /// Hooks that were answered with success.
    answered: usize,
}

/// Of several on one store, or the only one.
struct Host {
    /// Also the prefix of the services that it is called for.
    name: &'static str,
    // Ends before its folder goes.
    daemon: Daemon,
    house: House,
}

impl Variant {
    fn open(
        programs: &Programs,
        medium: Medium,
        work: &Path,
        panel: &str,
        name: &'static str,
        hosts: &[&'static str],
        url: Option<&str>,
    ) -> Result<Self> {
        let mut variant = Self { name, hosts: Vec::new(), is_on_server: url.is_some(), answered: 0 };
        let each = shares(MOST_CALLERS, hosts.len());
        for (host, services) in hosts.iter().copied().zip(each) {
            let mut setup = sandbox_of(panel, PLACES);
            setup.store = url.map(|url| format!("url = \"{url}\"\nhost = \"{host}\""));
            let house = House::new(programs, medium, work, host, &setup)?;
            if let Some(first) = variant.hosts.first() {
                fs::copy(first.house.key(), house.key()).context("cannot copy the host key")?;
            }
            let daemon = house.start()?;
            daemon.create(host, "one", services, &[])?;
            variant.answered += services;
            variant.hosts.push(Host { name: host, daemon, house });
        }
        Ok(variant)
    }

    /// Every host has its share of the callers, and a load of its own.
    fn measure(
        &mut self,
        programs: &Programs,
        server: &Server,
        medium: Medium,
        callers: usize,
        round: usize,
        millis: u64,
    ) -> Result<Figure> {
        let generator = programs.program("bench-load")?;
        let before = (self.used()?, server.used()?);
        let heard = thread::scope(|scope| {
            let mut loads = Vec::new();
            for (host, own) in self.hosts.iter().zip(shares(callers, self.hosts.len())).filter(|(_, own)| *own > 0) {
                let variant = self.name;
                let send = move || {
                    let load = Load {
                        variant,
                        work: &["hooks", "--prefix", host.name],
                        target: host.daemon.target(),
                        program: None,
                        callers: own,
                        run: format!("r{round}c{callers}"),
                        until: Until::Millis(millis),
                    };
                    load.send(generator, &[])
                };
                loads.push(scope.spawn(send));
            }
            let heard = loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("a load's thread panicked"))?);
            heard.collect::<Result<Vec<Value>>>()
        })?;
        let after = (self.used()?, server.used()?);

        let all = |name: &str| -> Result<Vec<f64>> {
            heard.iter().map(|one| one[name].as_f64().with_context(|| format!("the load says no {name}"))).collect()
        };
        let worst = |name: &str| Ok::<f64, anyhow::Error>(all(name)?.into_iter().fold(0.0, f64::max));
        let count: f64 = all("count")?.iter().sum();
        self.answered += count as usize;
        let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / count;
        let server_us = each(before.1.cpu_us, after.1.cpu_us);
        let syncs = if self.is_on_server { (before.1, after.1) } else { (before.0, after.0) };
        Ok(Figure {
            medium,
            variant: self.name.to_owned(),
            callers,
            round,
            rate: all("rate")?.iter().sum(),
            p50_us: worst("p50_us")?,
            p99_us: worst("p99_us")?,
            cpu_us: Some(each(before.0.cpu_us, after.0.cpu_us)),
            plugins_us: Some(each(before.0.plugins_us, after.0.plugins_us)),
            server_us: self.is_on_server.then_some(server_us),
            syncs: Some(each(syncs.0.syncs, syncs.1.syncs)),
        })
    }

    /// Of all its hosts.
    fn used(&self) -> Result<Used> {
        self.hosts.iter().map(|host| host.daemon.program.used()).sum()
    }

    /// Holds what each host finds in the store against what was answered, and stops them.
    fn close(self) -> Result<()> {
        for Host { name, daemon, .. } in &self.hosts {
            let stored = succeeded(daemon)?;
            ensure!(
                stored == self.answered,
                "{}: {} hooks were answered with success, and host {name} finds {stored} of them",
                self.name,
                self.answered,
            );
        }
        self.hosts.into_iter().try_for_each(|host| host.daemon.program.stop())
    }
}

/// How many operations are stored as succeeded.
fn succeeded(daemon: &Daemon) -> Result<usize> {
    let mut count = 0;
    let mut path = "/v1/operations?state=succeeded&limit=1000".to_owned();
    let first = path.clone();
    loop {
        let reply = http::over_socket(daemon.socket(), &get(&path))?;
        let items = reply.body["items"].as_array();
        count += items.with_context(|| format!("{path} answers {}: {}", reply.status, reply.body))?.len();
        match reply.body["next"].as_str() {
            Some(next) => path = format!("{first}&before={next}"),
            None => return Ok(count),
        }
    }
}

/// So many callers, as evenly as it goes.
fn shares(callers: usize, hosts: usize) -> Vec<usize> {
    (0..hosts).map(|host| callers / hosts + usize::from(host < callers % hosts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_spread_evenly_and_none_is_lost() {
        for (callers, hosts, expected) in
            [(1, 1, &[1][..]), (1, 3, &[1, 0, 0]), (8, 3, &[3, 3, 2]), (64, 3, &[22, 21, 21])]
        {
            assert_eq!(shares(callers, hosts), expected);
        }
    }
}
