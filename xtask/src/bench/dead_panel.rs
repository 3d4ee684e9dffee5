//! A create on one panel while another hangs with a thousand hooks waiting for it, against the same create on a daemon that
//! knows of no other panel.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::build::Programs;
use super::compare;
use super::figures::{Load, Results, Until};
use super::house::{House, sandbox};
use super::medium::{Medium, Pace};

pub(super) const ALONE: &str = "create, no other panel";
pub(super) const BESIDE: &str = "create, beside a panel that hangs";

/// How many hooks wait for the panel that hangs.
const WAITING: usize = 1_000;

/// Callers, and creates of one measurement.
const LOADS: [(usize, usize); 2] = [(1, 200), (8, 800)];

/// Measures both in turns, without sync cost.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
    let medium = Medium::Tmpfs;
    let generator = programs.program("bench-load")?;
    let folder = medium.folder(work, "panel")?;
    let (_panel, address) = compare::panel(programs, folder.path())?;
    let hung = Hung::start()?;
    let mut daemons = Vec::new();
    let mut houses = Vec::new();
    for name in ["alone", "beside"] {
        let mut setup = sandbox(&address);
        setup.toml += &format!(
            "[servers.hung]\nprovider = \"sandbox\"\nbase_url = \"{}\"\nallow_http = true\n\n\
             [products.hung]\nserver = \"hung\"\n[products.hung.settings]\nexchanges = 1\n",
            hung.address
        );
        houses.push(House::new(programs, medium, work, name, &setup)?);
    }
    for house in &houses {
        daemons.push(house.start()?);
    }
    daemons[1].create("hung", "hung", WAITING, &["--prefer", "respond-async", "--expect", "202"])?;
    // Round 0 warms everything up and does not count.
    for round in 0..=pace.rounds {
        for (callers, count) in LOADS {
            for turn in 0..2 {
                // The other one begins in every round.
                let at = (turn + round) % 2;
                let prefix = format!("r{round}c{callers}");
                let load = Load {
                    variant: [ALONE, BESIDE][at],
                    work: &["creates", "--prefix", &prefix, "--product", "one"],
                    target: daemons[at].target(),
                    program: Some(&daemons[at].program),
                    callers,
                    run: prefix.clone(),
                    until: Until::Count(count),
                };
                let figure = load.measure(generator, medium, round)?;
                if round > 0 {
                    results.figures.push(figure);
                }
            }
        }
    }
    // Attempts that hang would have their grace.
    daemons.into_iter().try_for_each(|daemon| daemon.program.kill())
}

/// Takes connections, and never says anything. Its thread ends with the process.
struct Hung {
    address: String,
    _kept: Arc<Mutex<Vec<TcpStream>>>,
}

impl Hung {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen as a panel that hangs")?;
        let address = format!("http://{}", listener.local_addr().context("cannot see where the panel listens")?);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            }
        });
        Ok(Self { address, _kept: kept })
    }
}
