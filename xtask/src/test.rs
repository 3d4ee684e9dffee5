//! Everything that a change must pass, in the order in which a slip is cheapest to find.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};

use crate::args::{CrashOptions, TestOptions};
use crate::cargo::{Artifacts, cargo, target_folder};
use crate::clock::{Stopwatch, in_words};
use crate::needs;

/// The variable by which the end-to-end suites find the programs and plugins to test.
const ARTIFACTS: &str = "BILLHOOK_TEST_ARTIFACTS";

/// The variable by which the test runner is told how many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
// With private items, so that the links inside the host are checked as well.
const DOCS: &[&str] = &["doc", "--workspace", "--no-deps", "--all-features", "--document-private-items"];
// A link to a private item is broken only in pages without them, which nobody makes.
const DOC_FLAGS: &str = "-Dwarnings -Arustdoc::private-intra-doc-links";
// All targets with all features, exactly as the tests are built: with fewer, cargo would leave the development
// dependencies out, choose other features for shared crates, and build those twice.
pub(crate) const BUILD: &[&str] = &["build", "--workspace", "--all-targets", "--all-features"];
// What `cargo clippy -- -D warnings` sets for its own run of cargo. Clippy is a compiler that looks closer: in the compiler's
// place, nothing is compiled a second time for its sake.
const CLOSELY: &[(&str, &str)] =
    &[("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"), ("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__")];
const TEST: &[&str] = &["test", "--workspace", "--all-features", "--no-fail-fast"];
/// The suites whose names say so; they print their counts.
const CRASH: &[&str] = &[
    "test",
    "--package",
    "billhook-tests",
    "--all-features",
    "--test",
    "integration",
    "--no-fail-fast",
    "--",
    "--nocapture",
    "crash",
    "kill",
];
/// The variable by which they leave nothing out.
const CRASH_ALL: &str = "BILLHOOK_CRASH_ALL";
const DENY: &[&str] = &["deny", "--all-features", "check"];

/// Runs all stages; the first that fails ends it.
pub(crate) fn run(options: &TestOptions) -> Result<()> {
    let whole = Stopwatch::start();
    needs::compiler()?;
    needs::components()?;
    needs::judge()?;
    needs::database()?;

    stage("format", FORMAT, &[])?;
    let how = if options.quick {
        skip("clippy", "--quick");
        skip("docs", "--quick");
        &[]
    } else {
        stage("docs", DOCS, &[("RUSTDOCFLAGS", DOC_FLAGS)])?;
        CLOSELY
    };
    let list = build(how)?;
    let threads = threads();
    let more = [(ARTIFACTS, list.as_str()), (THREADS, threads.as_str())];
    let env: Vec<(&str, &str)> = how.iter().copied().chain(more).collect();
    stage("test", TEST, &env)?;
    if needs::succeeds(&mut cargo(&["deny", "--version"])) {
        stage("dependencies", DENY, &[])?;
    } else {
        skip("dependencies", "cargo-deny is not installed, so licences and advisories were not checked");
    }
    println!("\nall passed in {}", in_words(whole.elapsed()));
    Ok(())
}

/// Runs the crash suites alone, and shows what they counted.
pub(crate) fn crash(options: &CrashOptions) -> Result<()> {
    needs::compiler()?;
    needs::judge()?;
    needs::database()?;
    let list = build(&[])?;
    let mut env = vec![(ARTIFACTS, list.as_str())];
    if options.all {
        env.push((CRASH_ALL, "1"));
    }
    stage("crash", CRASH, &env)?;
    if options.all {
        env.push(("BILLHOOK_TEST_STORE", "postgres"));
        stage("crash, the store on Postgres", CRASH, &env)?;
    }
    Ok(())
}

/// One more than there are processors, since a suite waits for its panels now and then; or as many as its caller says.
fn threads() -> String {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    std::env::var(THREADS).unwrap_or_else(|_| (processors() + 1).to_string())
}

/// Builds everything, and says where the list of it is.
fn build(env: &[(&str, &str)]) -> Result<String> {
    let name = if env.is_empty() { "build" } else { "build with clippy" };
    timed(name, &shown(BUILD, env), || {
        let artifacts = Artifacts::build(prepared(BUILD, env))?;
        write_list(&artifacts)
    })
}

/// Leaves the list of what was built where the suites and a later `cargo test` by hand find it.
fn write_list(artifacts: &Artifacts) -> Result<String> {
    let path = target_folder()?.join("xtask").join("artifacts.json");
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, artifacts.to_json()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}

fn stage(name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    timed(name, &shown(args, env), || {
        let status = prepared(args, env).status().context("cannot run cargo")?;
        status.success().then_some(()).ok_or_else(|| anyhow!("{name} failed"))
    })
}

/// Runs a stage, and says how long it took or how to repeat it.
fn timed<T>(name: &str, line: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n==> {name}: {line}");
    let watch = Stopwatch::start();
    let outcome = work().map_err(|error| anyhow!("{error:#}; to repeat it alone:\n\n    {line}"))?;
    println!("    {name}: {}", in_words(watch.elapsed()));
    Ok(outcome)
}

fn skip(name: &str, why: &str) {
    println!("\n==> {name}: skipped ({why})");
}

fn prepared(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = cargo(args);
    command.envs(env.iter().copied());
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        // What is built once and thrown away gains nothing from it.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// The stage as one would type it.
fn shown(args: &[&str], env: &[(&str, &str)]) -> String {
    let env: String = env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
    format!("{env}cargo {}", args.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_says_how_to_repeat_it() {
        let line = shown(TEST, &[(ARTIFACTS, "/t/list.json")]);
        let failed = timed("test", &line, || Err::<(), _>(anyhow!("red"))).unwrap_err();

        let text = format!("{failed:#}");
        assert!(text.starts_with("red;"), "{text}");
        assert!(text.contains("BILLHOOK_TEST_ARTIFACTS='/t/list.json' cargo test --workspace"), "{text}");
    }
}
