//! The command line.

use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: cargo xtask <command>

  test [--quick]                 everything that a change must pass; --quick leaves out clippy and the docs
  crash [--all]                  the crash suites alone, with what they counted
                                 --all  lets every look of every hook meet every fault, with the store on SQLite and then on
                                        Postgres: takes two hours
  demo [--folder DIR] [--keep]   a panel and the daemon on this machine, and what becomes of a lost answer
                                 --folder  where its files go, new or empty (default: a new folder for temporary files)
                                 --keep    leave both running, and say how to send the next hook
  bench [--quick] [--dev] [--only PART]...
                                 how fast the daemon is, beside a floor; see docs/performance.md
                                 --quick  one short round: shows that everything runs, and no more
                                 --dev    with programs as `cargo build` makes them, for whoever changes the benchmark
                                 --only   one of: tmpfs, disk, sync1ms, start, row, providers,
                                         dead-panel, slow-clients, databases; may be repeated
  trial [--quick] [--dev] [--only PART]... [--seed N] [--minutes N]
                                 what becomes of hooks when everything breaks; see docs/trials.md
                                 --quick    a few of each: shows that everything runs
                                 --dev      with programs as `cargo build` makes them
                                 --only     one of: kills, power, disk, backlog, soak, hosts,
                                         database; may be repeated
                                 --seed     of what happens by chance (default: 1)
                                 --minutes  of the soak (default: 30; a day is 1440)";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Test(TestOptions),
    Crash(CrashOptions),
    Demo(DemoOptions),
    Bench(BenchOptions),
    Trial(TrialOptions),
}

/// Of `test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    pub(crate) quick: bool,
}

/// Of `crash`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CrashOptions {
    pub(crate) all: bool,
}

/// Of `demo`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) keep: bool,
}

/// Of `bench`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    pub(crate) quick: bool,
    pub(crate) dev: bool,
    /// All when empty.
    pub(crate) only: Vec<Part>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Tmpfs,
    Disk,
    Sync1ms,
    Start,
    Row,
    Providers,
    DeadPanel,
    SlowClients,
    Databases,
}

impl Part {
    pub(crate) const ALL: [Self; 9] = [
        Self::Tmpfs,
        Self::Disk,
        Self::Sync1ms,
        Self::Start,
        Self::Row,
        Self::Providers,
        Self::DeadPanel,
        Self::SlowClients,
        Self::Databases,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::Disk => "disk",
            Self::Sync1ms => "sync1ms",
            Self::Start => "start",
            Self::Row => "row",
            Self::Providers => "providers",
            Self::DeadPanel => "dead-panel",
            Self::SlowClients => "slow-clients",
            Self::Databases => "databases",
        }
    }
}

impl BenchOptions {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Of `trial`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TrialOptions {
    pub(crate) quick: bool,
    pub(crate) dev: bool,
    /// All when empty.
    pub(crate) only: Vec<Trial>,
    pub(crate) seed: u64,
    pub(crate) minutes: u64,
}

impl Default for TrialOptions {
    fn default() -> Self {
        Self { quick: false, dev: false, only: Vec::new(), seed: 1, minutes: 30 }
    }
}

/// What can be tried by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    Kills,
    Power,
    Disk,
    Backlog,
    Soak,
    Hosts,
    Database,
}

impl Trial {
    pub(crate) const ALL: [Self; 7] =
        [Self::Kills, Self::Power, Self::Disk, Self::Backlog, Self::Soak, Self::Hosts, Self::Database];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Power => "power",
            Self::Disk => "disk",
            Self::Backlog => "backlog",
            Self::Soak => "soak",
            Self::Hosts => "hosts",
            Self::Database => "database",
        }
    }
}

impl TrialOptions {
    pub(crate) fn wants(&self, trial: Trial) -> bool {
        self.only.is_empty() || self.only.contains(&trial)
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut args = args.into_iter();
    let command = args.next();
    match command.as_deref() {
        None | Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("test") => parse_test(args),
        Some("crash") => parse_crash(args),
        Some("demo") => parse_demo(args),
        Some("bench") => parse_bench(args),
        Some("trial") => parse_trial(args),
        Some(other) => Err(format!("no command {other:?}")),
    }
}

fn parse_test(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = TestOptions::default();
    for arg in args {
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("test takes no {other:?}")),
        }
    }
    Ok(Command::Test(options))
}

fn parse_crash(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = CrashOptions::default();
    for arg in args {
        match arg.as_str() {
            "--all" => options.all = true,
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("crash takes no {other:?}")),
        }
    }
    Ok(Command::Crash(options))
}

fn parse_demo(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = DemoOptions::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--keep" => options.keep = true,
            "--folder" => options.folder = Some(args.next().ok_or("--folder needs a path")?.into()),
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("demo takes no {other:?}")),
        }
    }
    Ok(Command::Demo(options))
}

fn parse_bench(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = BenchOptions::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--dev" => options.dev = true,
            "--only" => {
                let name = args.next().ok_or("--only needs a part")?;
                let part = Part::ALL.into_iter().find(|part| part.name() == name);
                options.only.push(part.ok_or_else(|| format!("bench has no part {name:?}"))?);
            }
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("bench takes no {other:?}")),
        }
    }
    Ok(Command::Bench(options))
}

fn parse_trial(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = TrialOptions::default();
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
            value.parse().map_err(|_| format!("{arg} takes a number, not {value:?}"))
        };
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--dev" => options.dev = true,
            "--seed" => options.seed = number()?,
            "--minutes" => options.minutes = number()?,
            "--only" => {
                let name = args.next().ok_or("--only needs a part")?;
                let part = Trial::ALL.into_iter().find(|part| part.name() == name);
                options.only.push(part.ok_or_else(|| format!("trial has no part {name:?}"))?);
            }
            "--help" | "-h" => return Ok(Command::Help),
            other => return Err(format!("trial takes no {other:?}")),
        }
    }
    Ok(Command::Trial(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_line_means_one_command() {
        let demo =
            |folder: Option<&str>, keep| Ok(Command::Demo(DemoOptions { folder: folder.map(PathBuf::from), keep }));
        for (line, expected) in [
            ("", Ok(Command::Help)),
            ("--help", Ok(Command::Help)),
            ("test", Ok(Command::Test(TestOptions { quick: false }))),
            ("test --quick", Ok(Command::Test(TestOptions { quick: true }))),
            ("crash --all", Ok(Command::Crash(CrashOptions { all: true }))),
            ("demo", demo(None, false)),
            ("demo --keep --folder /tmp/x", demo(Some("/tmp/x"), true)),
            ("demo -h", Ok(Command::Help)),
            ("bench", Ok(Command::Bench(BenchOptions::default()))),
            (
                "bench --quick --only databases --dev --only tmpfs",
                Ok(Command::Bench(BenchOptions { quick: true, dev: true, only: vec![Part::Databases, Part::Tmpfs] })),
            ),
            ("trial", Ok(Command::Trial(TrialOptions::default()))),
            (
                "trial --only soak --minutes 1440 --seed 7",
                Ok(Command::Trial(TrialOptions {
                    only: vec![Trial::Soak],
                    minutes: 1440,
                    seed: 7,
                    ..Default::default()
                })),
            ),
        ] {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (line, word) in [
            ("deploy", "deploy"),
            ("bench --only ram", "ram"),
            ("bench --only", "part"),
            ("trial --minutes long", "long"),
            ("trial --seed", "number"),
            ("trial --only ram", "ram"),
            ("test --fast", "--fast"),
            ("demo now", "now"),
            ("demo --folder", "path"),
        ] {
            assert!(parsed(line).unwrap_err().contains(word), "{line}");
        }
    }
}
